# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices planes that a person has duplicated or deleted, at once.

Blender reports neither. Soon after an evaluation of the scene, the number of objects is compared
with the last one; only if it differs, all objects are looked at. That is done from a timer, because
counting 10000 objects takes a millisecond, too much for each frame of a playback. It is not done
while a modal operator runs, because objects must not be added while Blender moves a copy.

Blender has pushed its undo step by then. So an undo of the next step, or a redo of this one, brings
back a copy that is not separated yet, perhaps without a change of the number of objects. All
objects are looked at after both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..properties.owners import Plane
from ..scene import planes
from . import recovery

# The time from an evaluation to the count, and between two looks for the end of a modal operator.
_PERIOD_S = 0.1


@dataclass(frozen=True)
class _Belongings:
    """What is removed with a plane: the session uids of its points, and its collections' names."""

    points: frozenset[int]
    collections: frozenset[str]


# uuid -> what belongs to the plane, when it was last looked at.
_known: dict[str, _Belongings] = {}
# The points of deleted planes: an undo of something later brings them back.
_orphans: set[int] = set()
_count = -1


def look() -> None:
    """Separate copies from their originals, and remove what belonged to deleted planes."""
    global _count
    found: dict[str, list[Plane]] = {}
    for plane in planes.everywhere():
        found.setdefault(plane.draggan.uuid, []).append(plane)
    for twins in found.values():
        for twin in twins if len(twins) > 1 else ():
            recovery.own(twin)
    present = planes.everywhere()
    uuids = {plane.draggan.uuid for plane in present}
    gone = {image_id: left for image_id, left in _known.items() if image_id not in uuids}
    for image_id, left in gone.items():
        del _known[image_id]
        _orphans.update(left.points)
    if _orphans:
        _remove_orphans(present)
    for left in gone.values():
        _remove_collections(left.collections)
    for plane in present:
        _known[plane.draggan.uuid] = _belongings(plane)
    _count = len(bpy.data.objects)


def _belongings(plane: Plane) -> _Belongings:
    points = (point for pair in plane.draggan.pairs for point in (pair.handle, pair.target))
    return _Belongings(
        frozenset(point.session_uid for point in points if point is not None),
        frozenset(collection.name for collection in plane.users_collection),
    )


def _remove_orphans(present: list[Plane]) -> None:
    """Remove the points of deleted planes; not those that a plane uses, or that have a parent."""
    used = {uid for plane in present for uid in _belongings(plane).points}
    for candidate in list(bpy.data.objects):
        if candidate.session_uid in _orphans - used and candidate.parent is None:
            bpy.data.objects.remove(candidate)


def _remove_collections(names: frozenset[str]) -> None:
    for name in names:
        collection = bpy.data.collections.get(name)
        if collection is None or not name.startswith(planes.NAME):
            continue
        if not collection.all_objects and not collection.children:
            bpy.data.collections.remove(collection)


def _after_evaluation(*_arguments: Any) -> None:
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=_PERIOD_S, persistent=True)


def _after_undo(*_arguments: Any) -> None:
    global _count
    _count = -1
    _after_evaluation()


def _on_timer() -> float | None:
    if len(bpy.data.objects) == _count:
        return None
    windows = bpy.context.window_manager.windows
    is_moving = any(len(window.modal_operators) for window in windows)
    if is_moving or bpy.app.is_job_running("RENDER"):
        return _PERIOD_S
    look()
    return None


def _after_load(*_arguments: Any) -> None:
    _known.clear()
    _orphans.clear()
    look()


_HANDLERS = (
    ("depsgraph_update_post", _after_evaluation),
    ("undo_post", _after_undo),
    ("redo_post", _after_undo),
    ("load_post", _after_load),
)


def register() -> None:
    """Add the handlers to Blender's lists; as persistent ones they stay when a file is opened."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(persistent(handler))


def unregister() -> None:
    """Remove the handlers and the timer."""
    global _count
    for name, handler in reversed(_HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    _known.clear()
    _orphans.clear()
    _count = -1
