# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews of the playhead's frame follow the edit: a moved target, a new key, another influence.

Blender reports what an evaluation has changed. When targets and images have rested, the targets are
compared with those that the preview was last asked for; only if they differ, the same happens as
after a frame change. Showing a preview is a change as well, but not one of targets, so it does not
cause another one.

An undo or redo ends all previews (``jobs.recovery``), so the frame is looked at again after it.
"""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..connection import pump
from ..connection.state import EnginePhase
from ..errors import EditError
from ..jobs import edit_changes, point_check
from ..properties.owners import Plane
from ..scene import planes, sampling
from . import scrubbing

# The session uids of the empties that were moved and of the images that were changed.
_changed: set[int] = set()

# When the last of them was changed, or a step was undone, on the monotonic clock.
_changed_s = 0.0

# Whether a step was undone or redone since the frame was looked at.
_was_undone = False


def edit_rests() -> None:
    """Show and request the playhead's frame again for the images whose targets have changed.

    After an undo or a redo this is done for all images.
    """
    global _was_undone
    changed, was_undone = frozenset(_changed), _was_undone
    _changed.clear()
    _was_undone = False
    scene = bpy.context.scene
    if was_undone and scene is not None:
        scrubbing.playhead_moved(scene, bpy.context.evaluated_depsgraph_get())
        scrubbing.playhead_rests()
        return
    for plane in planes.everywhere():
        if not plane.draggan.request_id and _has_changed(plane, changed):
            scene = planes.scene_of(plane)
            # All images of the scene are looked at, as after a frame change.
            scrubbing.playhead_moved(scene, sampling.depsgraph_of(scene))
            scrubbing.playhead_rests()
            return


def _has_changed(plane: Plane, changed: Set[int]) -> bool:
    """Return whether the targets differ from those that this frame's preview was asked for.

    If no preview was asked for at this frame, they differ if a person has moved a target.
    """
    settings = plane.draggan
    asked = scrubbing.asked(plane)
    if not settings.bake.follow or not settings.latent:
        return False
    targets = [pair.target for pair in settings.pairs if pair.target is not None]
    is_moved = any(target.session_uid in changed for target in targets)
    if not is_moved and plane.session_uid not in changed:
        return False
    try:
        scene = planes.scene_of(plane)
    except EditError:
        return False  # it was deleted from its scene
    if asked is None or asked[0] != scene.frame_current:
        has_keys = sampling.is_animated(plane) if is_moved else sampling.moving_sliders(plane)
        return bool(has_keys)
    try:
        now = scrubbing.wanted_now(plane, sampling.depsgraph_of(scene), scene.frame_current)
    except EditError:
        return True  # the preview ends, as after a frame change
    return now != asked[1]


def _on_update(_scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Handle ``depsgraph_update_post``, which Blender calls often: note objects, and no more."""
    global _changed_s
    if pump.state().engine is not EnginePhase.READY or scrubbing.is_unwatched():
        _changed.clear()
        return
    for update in depsgraph.updates:
        changed: Any = update.id
        if not isinstance(changed, bpy.types.Object):
            continue
        is_moved = changed.type == "EMPTY" and update.is_updated_transform
        if is_moved or planes.is_plane(changed.original):
            _changed.add(changed.original.session_uid)
            _changed_s = time.monotonic()
    if _changed and not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=scrubbing.REST_S)


def _on_timer() -> float | None:
    """Wait until nothing has changed for a moment; Blender calls it until it returns None."""
    if pump.state().engine is not EnginePhase.READY or scrubbing.is_unwatched():
        _forget()
        return None
    left_s = _changed_s + scrubbing.REST_S - time.monotonic()
    if left_s > 0.0 or point_check.is_moving() or edit_changes.is_following():
        return max(left_s, scrubbing.REST_S / 2)
    edit_rests()
    return None


def _forget(*_arguments: Any) -> None:
    global _was_undone
    _changed.clear()
    _was_undone = False


def after_undo(*_arguments: Any) -> None:
    """Look at the frame again soon; the evaluation that follows an undo is not finished yet."""
    global _changed_s, _was_undone
    _was_undone, _changed_s = True, time.monotonic()
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=scrubbing.REST_S)


_HANDLERS = tuple(
    (name, persistent(handler))
    for name, handler in (
        ("depsgraph_update_post", _on_update),
        ("undo_post", after_undo),
        ("redo_post", after_undo),
        # Another file's objects can have the same session uids.
        ("load_pre", _forget),
    )
)


def register() -> None:
    """Add the handlers; as persistent ones they stay when a file is opened."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    """Remove the handlers and the timer."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(handler)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    _forget()
