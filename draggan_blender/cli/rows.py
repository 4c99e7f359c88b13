# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering frames from a track, for ``bake --only frames`` and ``render``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.messages import FrameTarget, RenderTrack
from . import frames as frame_ranges
from .running import Running


def render_rows(
    plane: Plane,
    running: Running,
    *,
    model_path: str,
    model_sha256: str,
    track: bytes,
    frames: range,
    target: FrameTarget,
    wanted: Sequence[range] | None,
    skip_existing: bool,
) -> dict[str, Any]:
    """Write frames of a track.

    Args:
        plane: The GAN image they belong to; it does not change.
        running: Submits the requests and prints the progress.
        model_path: The checkpoint.
        model_sha256: The hash that the checkpoint must have; empty for any.
        track: The bytes of a ``track.npz``.
        frames: The scene frames of the track.
        target: The files of the sequence; its ``first_number`` is that of the track's first row.
        wanted: The ranges of frames to write, or None for all.
        skip_existing: Whether frames whose files exist are skipped.

    Returns:
        The image's entry in the JSON.

    Raises:
        EditError: The track does not have all of these frames, or they cannot be rendered.
    """
    first = target.first_number
    spans = list(wanted or [frames])
    for span in spans:
        if span.start not in frames or span[-1] not in frames:
            raise EditError(
                f"Frames {frame_ranges.in_words(span)} are not in the track of {plane.name}, "
                f"which has {frame_ranges.in_words(frames)}; solve these frames first"
            )
    running.begin(first)
    for span in spans:
        request = RenderTrack(
            request_id=pump.new_request_id(),
            model_path=model_path,
            model_sha256=model_sha256,
            track=track,
            frames=target,
            first_row=span.start - first,
            row_count=len(span),
            skip_existing=skip_existing,
        )
        running.do(plane, request, f"Render {plane.name}")
        running.say_skipped(target, span)
    words = ",".join(frame_ranges.in_words(span) for span in spans)
    running.say(f"{plane.name}: frames {words} are in {target.folder}")
    return {
        "status": "done",
        "folder": target.folder,
        "first_frame": spans[0].start,
        "frame_count": sum(len(span) for span in spans),
    }
