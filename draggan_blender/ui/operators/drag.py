# SPDX-License-Identifier: GPL-3.0-or-later
"""Drag, Stop and Reset."""

from __future__ import annotations

import bpy

from ...jobs import drag as drag_job
from ...scene import planes
from .common import Result, poll_pairs, poll_plane, run


class DRAGGAN_OT_drag(bpy.types.Operator):
    """Move the handles to their targets; the image follows, and becomes a sequence"""

    bl_idname = "draggan.drag"
    bl_label = "Drag"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is an image and an enabled pair."""
        return poll_pairs(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Start it. Its one undo step is made when the result is there."""
        return run(self, lambda: drag_job.start_drag(context, planes.require_active(context)))


class DRAGGAN_OT_stop(bpy.types.Operator):
    """End the drag or bake here and keep what it has reached"""

    bl_idname = "draggan.stop"
    bl_label = "Stop"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether something runs."""
        if not poll_plane(cls, context):
            return False
        if not planes.require_active(context).draggan.request_id:
            cls.poll_message_set("Nothing is running for this image")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        """Ask the engine; the result comes as if it had ended by itself."""
        drag_job.stop_drag(planes.require_active(context))
        return {"FINISHED"}


class DRAGGAN_OT_reset(bpy.types.Operator):
    """Go back to the image of the seed, and put the handles back to where they first were"""

    bl_idname = "draggan.reset"
    bl_label = "Reset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether a GAN image is active that has an image; a running drag is given up."""
        if not poll_plane(cls, context):
            return False
        if not planes.require_active(context).draggan.latent:
            cls.poll_message_set("This plane has no image yet; sample one")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        """Done at once: the image of the seed is in the file."""
        return run(self, lambda: drag_job.reset(planes.require_active(context)))


CLASSES = (DRAGGAN_OT_drag, DRAGGAN_OT_stop, DRAGGAN_OT_reset)
