# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that add, remove, restore and swap points."""

from __future__ import annotations

import bpy
from bpy.props import FloatVectorProperty, IntProperty

from ...errors import EditError
from ...scene import pair_images, planes, pointing, points
from ..point_watch import select_only
from .common import Result, poll_points, require, run

# The target of a new pair is this far beside its handle, as a part of the image's width.
_REACH = 0.15


def _place(name: str, description: str) -> FloatVectorProperty:
    return FloatVectorProperty(
        name=name,
        description=f"{description} on the image: bottom left is (0, 0), top right (1, 1)",
        size=2,
        min=0.0,
        max=1.0,
        options={"SKIP_SAVE"},
    )


def _under_mouse(context: bpy.types.Context, event: bpy.types.Event) -> tuple[float, float] | None:
    """Return the place of the active image under the mouse, or None if it is not over the image."""
    plane, region, region_3d = planes.active(context), context.region, context.region_data
    if plane is None or region is None or region.type != "WINDOW" or region_3d is None:
        return None
    mouse = (event.mouse_region_x, event.mouse_region_y)
    try:
        found = pointing.uv_at(plane, region, region_3d, mouse)
    except EditError:
        return None
    return found if found is not None and min(found) >= 0.0 and max(found) <= 1.0 else None


class DRAGGAN_OT_add_pair(bpy.types.Operator):
    """Add a handle, which marks what to move, and a target, which marks where to move it"""

    bl_idname = "draggan.add_pair"
    bl_label = "Add Point Pair"
    bl_options = {"REGISTER", "UNDO"}

    handle_uv: _place("Handle", "Place of the handle")
    target_uv: _place("Target", "Place of the target")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_points(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        place = _under_mouse(context, event)
        if place is not None and not self.properties.is_property_set("handle_uv"):
            u, v = place
            self.handle_uv = place
            if not self.properties.is_property_set("target_uv"):
                self.target_uv = (u + _REACH if u + _REACH <= 0.95 else u - _REACH, v)
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        handle_uv, target_uv = points.default_uv(plane)
        given = self.properties.is_property_set
        if given("handle_uv"):
            handle_uv = tuple(self.handle_uv)
        if given("target_uv"):
            target_uv = tuple(self.target_uv)
        # Adjust Last Operation shows the properties and continues from their values.
        self.handle_uv, self.target_uv = handle_uv, target_uv

        def add() -> None:
            # The person moves the target next.
            select_only(context, points.add_pair(plane, handle_uv, target_uv).target)

        return run(self, add)


class DRAGGAN_OT_add_pin(bpy.types.Operator):
    """Add a pin: what is under it stays where it is while handles are dragged"""

    bl_idname = "draggan.add_pin"
    bl_label = "Add Pin"
    bl_options = {"REGISTER", "UNDO"}

    place_uv: _place("Place", "Place of the pin")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_points(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        place = _under_mouse(context, event)
        if place is not None and not self.properties.is_property_set("place_uv"):
            self.place_uv = place
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        (place,) = points.free_uv(plane, 1)
        if self.properties.is_property_set("place_uv"):
            place = tuple(self.place_uv)
        self.place_uv = place

        def add() -> None:
            select_only(context, points.add_pin(plane, place).handle)

        return run(self, add)


class DRAGGAN_OT_remove_pair(bpy.types.Operator):
    """Remove the active pair with its handle and its target, or the active pin"""

    bl_idname = "draggan.remove_pair"
    bl_label = "Remove Points"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_points(cls, context) and require(
            cls,
            points.active_pair(planes.require_active(context)) is not None,
            "There is no pair of points",
        )

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        points.remove_pair(plane, plane.draggan.active_pair)
        # One of the removed points was the active object.
        if context.view_layer.objects.active is None:
            context.view_layer.objects.active = plane
        return {"FINISHED"}


class DRAGGAN_OT_restore_point(bpy.types.Operator):
    """Put the deleted handle or target of a pair back where it was"""

    bl_idname = "draggan.restore_point"
    bl_label = "Restore Point"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(
        name="Index",
        description="The pair in the list, counted from 0; -1 for the active one",
        default=-1,
        min=-1,
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = planes.active(context)
        return poll_points(cls, context) and require(
            cls,
            plane is not None
            and any(points.missing(pair, context.scene) for pair in plane.draggan.pairs),
            "No point was deleted",
        )

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        settings = plane.draggan
        index = self.index if self.index >= 0 else settings.active_pair

        def restore() -> None:
            if index >= len(settings.pairs):
                raise EditError(f"There is no pair {index} in the list")
            points.restore(plane, settings.pairs[index])
            settings.active_pair = index

        return run(self, restore)


class DRAGGAN_OT_use_pairs(bpy.types.Operator):
    """Switch the pairs on that belong to another image, to drag the same points on this one"""

    bl_idname = "draggan.use_pairs"
    bl_label = "Use Points of Other Image"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = planes.active(context)
        return poll_points(cls, context) and require(
            cls,
            plane is not None and bool(pair_images.left(plane)),
            "No pair is off because it belongs to another image",
        )

    def execute(self, context: bpy.types.Context) -> Result:
        pair_images.use(planes.require_active(context))
        return {"FINISHED"}


class DRAGGAN_OT_swap_points(bpy.types.Operator):
    """Exchange the places of the active pair's handle and target"""

    bl_idname = "draggan.swap_points"
    bl_label = "Swap Handle and Target"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = planes.active(context)
        pair = points.active_pair(plane) if plane is not None else None
        return poll_points(cls, context) and require(
            cls,
            pair is not None and not pair.is_pin and len(points.points_of(pair)) == 2,
            "Choose a pair in the list",
        )

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        pair = points.active_pair(plane)
        if pair is not None:
            points.swap(pair)
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_add_pair,
    DRAGGAN_OT_add_pin,
    DRAGGAN_OT_remove_pair,
    DRAGGAN_OT_restore_point,
    DRAGGAN_OT_use_pairs,
    DRAGGAN_OT_swap_points,
)
