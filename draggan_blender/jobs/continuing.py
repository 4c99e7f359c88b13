# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images of the shown sequence a new drag keeps: those of a drag, up to the playhead.

A drag that begins within or after the sequence of an earlier drag continues it. Bakes, image keys
and blends are not continued: they are made from keys, and each can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol.drag_messages import Drag
from ..protocol.messages import FrameTarget
from ..scene import images, planes, playhead, timing, tracks
from . import folders

# More frames than a drag adds to a sequence.
_MOST_FRAMES = 1000


def frames_of(plane: Plane) -> FrameTarget:
    """Return the files of the sequence that a drag from the current frame makes, in a new folder.

    Raises:
        EditError: The folder cannot be made, or Blender may not have enough frames.
    """
    first = max(planes.scene_of(plane).frame_current, 1)
    count = _count(plane)
    if count:
        first = plane.draggan.sequence.first_frame
    folders.require_frames(first, count + _MOST_FRAMES)
    return FrameTarget(
        folder=str(folders.new_drag(plane)), stem=folders.stem_of(plane), first_number=first
    )


def room(plane: Plane) -> dict[str, Any]:
    """Return the fields of a ``Drag`` that keep a new sequence within the frames that are played.

    They are empty if the drag continues a sequence, and for somebody who works at other frames.
    """
    frames = playhead.playback_range(planes.scene_of(plane))
    first = max(planes.scene_of(plane).frame_current, 1)
    if _count(plane) or timing.is_retimed(plane) or first not in frames:
        return {}
    return {"earliest": max(frames.start, 1), "latest": frames.stop - 1}


def continued(plane: Plane) -> dict[str, Any]:
    """Return the fields of a ``Drag`` that say what a drag from the current frame continues.

    They are empty if the drag starts a sequence.

    Raises:
        EditError: The track of the shown sequence cannot be read.
    """
    count = _count(plane)
    if not count:
        return {}
    settings = plane.draggan
    keys = [0] * tracks.handles_px(settings.track).shape[1]
    for pair in settings.pairs:
        if 0 <= pair.path_slot < len(keys):
            keys[pair.path_slot] = pair.key
    return {
        "earlier_track": to_bytes(settings.track),
        "earlier_count": count,
        "earlier_keys": tuple(keys),
        "earlier_folder": str(images.sequence_folder(plane)),
        "earlier_stem": settings.sequence.stem,
    }


def slots_left(request: Drag, keys: Sequence[int]) -> dict[int, int]:
    """Return the positions in a drag's track of the handles that are only in earlier images.

    Args:
        request: The request of the drag.
        keys: The keys of the handles that the drag has moved, which come first in its track.

    Returns:
        The position for the key of each pair.
    """
    left = [key for key in request.earlier_keys if key and key not in keys]
    return {key: slot for slot, key in enumerate(left, start=len(keys))}


def _count(plane: Plane) -> int:
    """Return how many images come before those of a drag from the current frame."""
    settings, sequence = plane.draggan, plane.draggan.sequence
    if sequence.image is None or sequence.kind != "DRAG" or not settings.track:
        return 0
    if timing.is_retimed(plane):
        return timing.shown_row(plane)
    count: int = planes.scene_of(plane).frame_current - sequence.first_frame
    return max(count, 0)
