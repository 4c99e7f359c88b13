# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows what a person does with points in the viewport.

- The pair of the active point is the active pair of the list, and the other way round.
- A pair is removed after all of its points were deleted, and the image becomes active instead of a
  deleted point, so that the panels stay.
- Handles that were added or moved are checked by the engine.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..errors import EditError
from ..jobs import point_check
from ..properties import image as image_properties
from ..properties.owners import Plane
from ..scene import planes, points

# The name of the object that was active at the last look, how many objects there were, and the uuid
# of the image whose point was active last.
_seen = ("", 0)
_image_id = ""

# Whether pairs are being removed: no other point is then selected, because a second press of the
# key would delete it.
_is_removing = False


def _choose_in_view(plane: Plane) -> None:
    """Select the target of the pair that was chosen in the list, or the pin."""
    context = bpy.context
    pair = points.active_pair(plane)
    if _is_removing or pair is None or planes.active(context) != plane:
        return
    chosen = context.view_layer.objects.active
    if chosen is not None and chosen in (pair.handle, pair.target):
        return
    for point in (pair.target, pair.handle):
        if point is not None and select_only(context, point):
            return


def select_only(context: bpy.types.Context, point: bpy.types.Object) -> bool:
    """Make a point the only selected object, and return whether that is possible."""
    if point.name not in context.view_layer.objects or not point.visible_get():
        return False
    for selected in context.selected_objects:
        selected.select_set(False)
    point.select_set(True)
    context.view_layer.objects.active = point
    return True


def _on_change(_scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Handle ``depsgraph_update_post``, which Blender also calls when the selection changes."""
    global _seen
    if bpy.app.is_job_running("RENDER"):
        return
    layer = bpy.context.view_layer
    chosen = layer.objects.active
    before, _seen = _seen, (chosen.name if chosen is not None else "", len(layer.objects))
    if chosen is not None and chosen.name != before[0]:
        _choose_in_list(chosen)
    if _seen[1] < before[1] and not bpy.app.timers.is_registered(after_deletion):
        # Objects must not be removed while Blender calls a handler.
        bpy.app.timers.register(after_deletion, first_interval=0.0)
    for update in depsgraph.updates:
        changed: Any = update.id
        if update.is_updated_transform and getattr(changed, "type", "") == "EMPTY":
            point = changed.original
            if planes.is_plane(point.parent) and points.is_point(point.parent, point):
                point_check.handle_moved(point.parent)


def _choose_in_list(chosen: bpy.types.Object) -> None:
    global _image_id
    plane = chosen.parent
    if chosen.type != "EMPTY" or not planes.is_plane(plane):
        _image_id = ""
        return
    _image_id = plane.draggan.uuid
    index = points.pair_index(plane, chosen)
    if index is not None and index != plane.draggan.active_pair:
        plane.draggan.active_pair = index


def after_deletion() -> None:
    """Follow the deletion of objects: remove pairs without points, and let an image be active.

    No pair is removed during a request.
    """
    global _is_removing
    _is_removing = True
    try:
        _remove_emptied()
    finally:
        _is_removing = False
    layer, image = bpy.context.view_layer, planes.find(_image_id) if _image_id else None
    if layer.objects.active is None and image is not None and image.name in layer.objects:
        layer.objects.active = image


def _remove_emptied() -> None:
    """Remove the pairs without points of images that no request is running for."""
    for plane in planes.everywhere():
        try:
            scene = planes.scene_of(plane)
        except EditError:
            continue  # the image was deleted as well
        pairs = plane.draggan.pairs
        for index in reversed(range(len(pairs))):
            is_emptied = len(points.missing(pairs[index], scene)) == (
                1 if pairs[index].is_pin else 2
            )
            if is_emptied and not plane.draggan.request_id:
                points.remove_pair(plane, index)


_HANDLER = persistent(_on_change)


def register() -> None:
    """Add the handler; as a persistent one it stays when a file is opened."""
    image_properties.set_pair_chosen(_choose_in_view)
    bpy.app.handlers.depsgraph_update_post.append(_HANDLER)


def unregister() -> None:
    """Remove the handler and the timer."""
    bpy.app.handlers.depsgraph_update_post.remove(_HANDLER)
    image_properties.set_pair_chosen(None)
    if bpy.app.timers.is_registered(after_deletion):
        bpy.app.timers.unregister(after_deletion)
