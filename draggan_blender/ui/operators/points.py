# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that add and remove pairs of points."""

from __future__ import annotations

import bpy
from bpy.props import FloatVectorProperty

from ...scene import planes, points
from .common import Result, poll_points, require, run


class DRAGGAN_OT_add_pair(bpy.types.Operator):
    """Add a handle, which marks what to move, and a target, which marks where to move it"""

    bl_idname = "draggan.add_pair"
    bl_label = "Add Point Pair"
    bl_options = {"REGISTER", "UNDO"}

    handle_uv: FloatVectorProperty(
        name="Handle",
        description="Place of the handle on the image: bottom left is (0, 0), top right (1, 1)",
        size=2,
        min=0.0,
        max=1.0,
        options={"SKIP_SAVE"},
    )
    target_uv: FloatVectorProperty(
        name="Target",
        description="Place of the target on the image: bottom left is (0, 0), top right (1, 1)",
        size=2,
        min=0.0,
        max=1.0,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_points(cls, context)

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
            pair = points.add_pair(plane, handle_uv, target_uv)
            for selected in context.selected_objects:
                selected.select_set(False)
            # The person moves the target next.
            if pair.target.name in context.view_layer.objects:
                pair.target.select_set(True)
                context.view_layer.objects.active = pair.target

        return run(self, add)


class DRAGGAN_OT_remove_pair(bpy.types.Operator):
    """Remove the pair that is selected in the list, with its handle and its target"""

    bl_idname = "draggan.remove_pair"
    bl_label = "Remove Point Pair"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_points(cls, context) and require(
            cls, len(planes.require_active(context).draggan.pairs) > 0, "There is no pair of points"
        )

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        points.remove_pair(plane, plane.draggan.active_pair)
        # One of the removed points was the active object.
        if context.view_layer.objects.active is None:
            context.view_layer.objects.active = plane
        return {"FINISHED"}


CLASSES = (DRAGGAN_OT_add_pair, DRAGGAN_OT_remove_pair)
