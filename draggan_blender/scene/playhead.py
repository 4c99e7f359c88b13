# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving the playhead to other frames: Blender evaluates animation only at the current frame."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import bpy

# How many generators of ``visit`` are running.
_visits = 0


def is_visiting() -> bool:
    """Return whether ``visit`` is moving the playhead: frame changes then cause no previews."""
    return _visits > 0


def visit(scene: bpy.types.Scene, frames: Iterable[int]) -> Generator[int, None, None]:
    """Go to each frame in turn, and finally back to where the playhead was.

    If the generator is not exhausted, close it: that moves the playhead back, too.

    Args:
        scene: The scene whose playhead is moved.
        frames: Scene frames, in the order in which simulations must see them.

    Yields:
        Each frame, after Blender has evaluated the scene at it.
    """
    global _visits
    before, part = scene.frame_current, scene.frame_subframe
    _visits += 1
    try:
        for frame in frames:
            scene.frame_set(frame)
            yield frame
    finally:
        scene.frame_set(before, subframe=part)
        _visits -= 1


def playback_range(scene: bpy.types.Scene) -> range:
    """Return the frames that playback shows: the preview range if it is used, else the scene's."""
    if scene.use_preview_range:
        return range(scene.frame_preview_start, scene.frame_preview_end + 1)
    return range(scene.frame_start, scene.frame_end + 1)
