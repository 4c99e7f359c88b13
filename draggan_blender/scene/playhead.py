# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at other frames than the current one: what is animated is evaluated by going there."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import bpy

_visits = 0


def is_visiting() -> bool:
    """Whether frame changes are those of :func:`visit`, to which nothing of ours reacts."""
    return _visits > 0


def visit(scene: bpy.types.Scene, frames: Iterable[int]) -> Generator[int, None, None]:
    """Go to each frame in turn, and in the end back to where the playhead was.

    Args:
        scene: whose timeline it is.
        frames: in the order in which simulations must see them.

    Yields:
        The frame, once everything in the scene is evaluated at it.
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
    """The frames that playback shows: the preview range where it is used, else the scene's."""
    if scene.use_preview_range:
        return range(scene.frame_preview_start, scene.frame_preview_end + 1)
    return range(scene.frame_start, scene.frame_end + 1)
