# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators *Drag*, *Stop*, *Pause* and *Reset*."""

from __future__ import annotations

import bpy

from ...jobs import drag as drag_job
from ...jobs import live
from ...scene import planes
from .common import Result, poll_image, poll_pairs, poll_running, require, run


class DRAGGAN_OT_drag(bpy.types.Operator):
    """Move the handles to their targets; the image follows, and its way becomes a sequence"""

    bl_idname = "draggan.drag"
    bl_label = "Drag"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_pairs(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when the result arrives.
        return run(self, lambda: drag_job.start_drag(context, planes.require_active(context)))


class DRAGGAN_OT_stop(bpy.types.Operator):
    """End the drag or bake now and keep the result so far"""

    bl_idname = "draggan.stop"
    bl_label = "Stop"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_running(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        # The result arrives later, like that of a drag or bake that was not stopped.
        drag_job.stop_drag(planes.require_active(context))
        return {"FINISHED"}


class DRAGGAN_OT_pause(bpy.types.Operator):
    """Pause the drag where it is, or let a paused drag go on"""

    bl_idname = "draggan.pause"
    bl_label = "Pause"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_running(cls, context) and require(
            cls, planes.require_active(context).draggan.dragging, "No drag is running"
        )

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        return run(self, lambda: live.set_paused(plane, not live.is_paused(plane)))


class DRAGGAN_OT_reset(bpy.types.Operator):
    """Go back to the image of the seed, and put the handles back where they were first placed"""

    bl_idname = "draggan.reset"
    bl_label = "Reset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        # Not poll_idle: a running drag is cancelled.
        return poll_image(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: drag_job.reset(planes.require_active(context)))


CLASSES = (DRAGGAN_OT_drag, DRAGGAN_OT_stop, DRAGGAN_OT_pause, DRAGGAN_OT_reset)
