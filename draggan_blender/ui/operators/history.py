# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of the history, and *Duplicate Image*."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty

from ...jobs import history as history_job
from ...jobs import recovery
from ...scene import copies, history, planes
from .common import Result, poll_idle, require, run


class DRAGGAN_OT_go_to_state(bpy.types.Operator):
    """Make this state the image again, with its points; all other states stay"""

    bl_idname = "draggan.go_to_state"
    bl_label = "Go to State"
    bl_options = {"REGISTER"}

    number: IntProperty(
        name="State", description="The number of the state in the image's history", min=1
    )

    @classmethod
    def description(
        cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties
    ) -> str:
        plane = planes.active(context)
        state = None if plane is None else history.find(plane, properties.number)
        if state is None:
            return str(cls.__doc__)
        return f"{history.label(state)}: {state.status or 'the image of this seed'}"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        waits: list[int | None] = []

        def go() -> int | None:
            waits.append(history_job.go_to(plane, self.number))
            return waits[0]

        result = run(self, go)
        # Images that are rendered again bring an undo step of their own.
        if result == {"FINISHED"} and waits == [None]:
            bpy.ops.ed.undo_push(message=self.bl_label)
        return result


class DRAGGAN_OT_delete_state(bpy.types.Operator):
    """Delete the active state from the history; the image and the other states stay"""

    bl_idname = "draggan.delete_state"
    bl_label = "Delete State"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context) and require(
            cls,
            history.active(planes.require_active(context)) is not None,
            "The image is in no state of the history",
        )

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        return run(self, lambda: history_job.delete(plane, plane.draggan.history.active))


class DRAGGAN_OT_duplicate_image(bpy.types.Operator):
    """Add a copy of the image beside it, with its points, its sequence and its history"""

    bl_idname = "draggan.duplicate_image"
    bl_label = "Duplicate Image"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def duplicate() -> None:
            recovery.own(plane)
            copy = copies.duplicate(context, plane)
            for selected in context.selected_objects:
                selected.select_set(False)
            copy.select_set(True)
            context.view_layer.objects.active = copy

        return run(self, duplicate)


CLASSES = (DRAGGAN_OT_go_to_state, DRAGGAN_OT_delete_state, DRAGGAN_OT_duplicate_image)
