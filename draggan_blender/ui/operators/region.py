# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting the radius of a region with the mouse, as the size of a brush is set."""

from __future__ import annotations

import math
from typing import Any

import bpy
from bpy.props import FloatProperty

from ...errors import EditError
from ...properties.owners import Plane
from ...properties.pair import DRAGGAN_PG_pair
from ...scene import planes, pointing, points, view
from .common import Result, require

_HELP = "Radius {:.3f}  |  LMB, Enter: confirm  |  RMB, Esc: cancel  |  0: a point, no region"


class DRAGGAN_OT_set_radius(bpy.types.Operator):
    """Set with the mouse how much of the image around the handle moves, turns and scales as one"""

    bl_idname = "draggan.set_radius"
    bl_label = "Set Radius"
    bl_options = {"REGISTER", "UNDO", "BLOCKING"}

    radius: FloatProperty(
        name="Radius",
        description="The radius of the region in the plane's units; 0 moves the point alone",
        min=0.0,
        soft_max=1.0,
        subtype="DISTANCE",
    )

    # What the gesture began with: the image's uuid, the pair's key, its radius, and how far the
    # mouse was from the handle.
    _image_id = ""
    _key = 0
    _before = 0.0
    _distance = 0.0

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return require(cls, _chosen(context) is not None, "Select the handle or target of a pair")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        plane = planes.require_active(context)
        pair = _chosen(context)
        distance = _distance_of(context, event, plane, pair) if pair is not None else None
        if pair is None or distance is None:
            self.report({"WARNING"}, "Move the mouse over the image, and press F again")
            return {"CANCELLED"}
        self._image_id, self._key = plane.draggan.uuid, pair.key
        self.radius = self._before = pair.radius
        self._distance = distance
        context.window_manager.modal_handler_add(self)
        _say(context, _HELP.format(self.radius))
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        plane = planes.find(self._image_id)
        pairs = plane.draggan.pairs if plane is not None else ()
        pair = next((pair for pair in pairs if pair.key == self._key), None)
        if plane is None or pair is None:
            _say(context, None)
            return {"CANCELLED"}
        if event.type in {"RIGHTMOUSE", "ESC"}:
            pair.radius = self._before
            _say(context, None)
            return {"CANCELLED"}
        if event.type in {"ZERO", "NUMPAD_0"} and event.value == "PRESS":
            self.radius = pair.radius = 0.0
            _say(context, None)
            return {"FINISHED"}
        if event.type in {"LEFTMOUSE", "RET", "NUMPAD_ENTER"} and event.value == "PRESS":
            self.radius = pair.radius
            _say(context, None)
            return {"FINISHED"}
        if event.type == "MOUSEMOVE":
            distance = _distance_of(context, event, plane, pair)
            if distance is not None:
                pair.radius = max(0.0, self._before + distance - self._distance)
                _say(context, _HELP.format(pair.radius))
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        pair = _chosen(context)
        if pair is None:
            return {"CANCELLED"}
        pair.radius = self.radius
        return {"FINISHED"}


def _chosen(context: bpy.types.Context) -> DRAGGAN_PG_pair | None:
    """Return the pair whose handle or target is the active object, but no pin."""
    plane, chosen = planes.active(context), getattr(context, "object", None)
    if plane is None or chosen is None:
        return None
    index = points.pair_index(plane, chosen)
    if index is None or plane.draggan.pairs[index].is_pin:
        return None
    pair: DRAGGAN_PG_pair = plane.draggan.pairs[index]
    return pair


def _distance_of(
    context: bpy.types.Context, event: bpy.types.Event, plane: Plane, pair: DRAGGAN_PG_pair
) -> float | None:
    """Return the distance of the mouse from the active point, in the units of the pair's radius."""
    region, region_3d, chosen = context.region, context.region_data, context.object
    if region is None or region_3d is None:
        return None
    center = chosen if chosen in (pair.handle, pair.target) else pair.handle
    if center is None:
        return None
    try:
        uv = pointing.uv_at(plane, region, region_3d, (event.mouse_region_x, event.mouse_region_y))
        if uv is None:
            return None
        (place,) = view.uv_to_local(planes.uv_map(plane), [uv])
    except EditError:
        return None
    middle: Any = plane.matrix_world.inverted_safe() @ center.matrix_world.translation
    size: float = max(abs(center.scale.x), 1e-6)
    return math.dist(place, middle[:2]) / size


def _say(context: bpy.types.Context, text: str | None) -> None:
    context.workspace.status_text_set(text)
    if context.area is not None:
        context.area.tag_redraw()


CLASSES = (DRAGGAN_OT_set_radius,)
