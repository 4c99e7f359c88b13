# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators *Retime* and *Remove Retiming*."""

from __future__ import annotations

import bpy

from ...scene import planes, timing
from ...timeline import retiming
from .common import Result, poll_idle, poll_sequence, require, run


class DRAGGAN_OT_retime(bpy.types.Operator):
    """Give the image a Progress that you can animate, which chooses the image of the sequence"""

    bl_idname = "draggan.retime"
    bl_label = "Retime"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_sequence(cls, context) and require(
            cls,
            not timing.is_retimed(planes.require_active(context)),
            "This image has a Progress already; move its keys",
        )

    def execute(self, context: bpy.types.Context) -> Result:
        # The first keys of Progress leave the timing as it is.
        return run(self, lambda: retiming.retime(planes.require_active(context)))


class DRAGGAN_OT_unretime(bpy.types.Operator):
    """Remove the Progress with its keys: each image is shown at its own frame again"""

    bl_idname = "draggan.unretime"
    bl_label = "Remove Retiming"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context) and require(
            cls, timing.is_retimed(planes.require_active(context)), "This image has no Progress"
        )

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: retiming.unretime(planes.require_active(context)))


CLASSES = (DRAGGAN_OT_retime, DRAGGAN_OT_unretime)
