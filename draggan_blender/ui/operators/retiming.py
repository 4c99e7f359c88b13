# SPDX-License-Identifier: GPL-3.0-or-later
"""Retiming: on and off."""

from __future__ import annotations

import bpy

from ...scene import planes, timing
from ...timeline import retiming
from .common import Result, poll_idle, run


class DRAGGAN_OT_retime(bpy.types.Operator):
    """Give the image a Progress to be animated, which says which image of the sequence is shown"""

    bl_idname = "draggan.retime"
    bl_label = "Retime"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a sequence that follows the frames."""
        if not poll_idle(cls, context):
            return False
        plane = planes.require_active(context)
        if plane.draggan.sequence.image is None:
            cls.poll_message_set("There is no sequence yet; drag or bake first")
            return False
        if timing.is_retimed(plane):
            cls.poll_message_set("It has a Progress already; move its keys")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        """Key it so that nothing changes at first."""
        return run(self, lambda: retiming.retime(planes.require_active(context)))


class DRAGGAN_OT_unretime(bpy.types.Operator):
    """Remove the Progress with its keys: each image is shown at its own frame again"""

    bl_idname = "draggan.unretime"
    bl_label = "Remove Retiming"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether the image is retimed."""
        if not poll_idle(cls, context):
            return False
        if not timing.is_retimed(planes.require_active(context)):
            cls.poll_message_set("It has no Progress")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        """Done at once."""
        return run(self, lambda: retiming.unretime(planes.require_active(context)))


CLASSES = (DRAGGAN_OT_retime, DRAGGAN_OT_unretime)
