# SPDX-License-Identifier: GPL-3.0-or-later
"""The sequence of latents that were interpolated or mixed: its request, and its result."""

from __future__ import annotations

from collections.abc import Sequence

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.stored import to_text
from ..protocol.messages import FrameTarget
from ..protocol.pictures import is_layered
from ..protocol.timeline import RenderLatents, TrackMade
from ..scene import handle_paths, models
from . import folders, requests


def start_latents(plane: Plane, pictures: Sequence[bytes], first_frame: int, label: str) -> int:
    """Start to render one image for each picture, one frame each.

    Args:
        plane: A GAN image that no request is running for.
        pictures: In the format of ``protocol.pictures``, of the plane's model.
        first_frame: The scene frame of the first picture, 1 or more.
        label: What is being done, for the panel.

    Returns:
        The request id.

    Raises:
        EditError: The folder cannot be made, or the engine cannot be started.
    """
    settings = plane.draggan
    model_path = models.model_path(settings.source)
    folders.require_frames(first_frame, len(pictures))
    target = FrameTarget(
        folder=str(folders.new_drag(plane)),
        stem=folders.stem_of(plane),
        first_number=first_frame,
    )
    request = RenderLatents(
        request_id=pump.new_request_id(),
        model_path=model_path,
        model_sha256=settings.model_sha256,
        latents=b"".join(pictures),
        sizes=tuple(map(len, pictures)) if any(map(is_layered, pictures)) else (),
        frames=target,
    )
    return requests.submit(plane, request, label)


def finish(plane: Plane, request: RenderLatents, made: TrackMade | None) -> None:
    """Write the sequence; the handles have no places in it, because nothing was tracked.

    Raises:
        EditError: There is no result, or it cannot be shown.
    """
    if made is None:
        raise EditError("The engine ended without a track of the images; see its log")
    settings = plane.draggan
    requests.show_frames(plane, request.frames, made.frame_count, "LATENTS")
    handle_paths.clear_paths(plane)
    settings.track = to_text(made.track)
    settings.status = f"Rendered {made.frame_count} frames"
