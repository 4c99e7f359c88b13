# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators *Bake*, *Refine*, *Clear Bake* and *Cancel*."""

from __future__ import annotations

from typing import Any

import bpy

from ...jobs import bake as bake_job
from ...jobs import drag as drag_job
from ...jobs import pull
from ...scene import images, planes
from .common import Result, poll_idle, poll_pairs, poll_running, require, run


def _poll_baked(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether an idle GAN image that shows a bake is active."""
    return poll_idle(cls, context) and require(
        cls, images.shows_bake(planes.require_active(context)), "There is no bake; press Bake first"
    )


class DRAGGAN_OT_bake(bpy.types.Operator):
    """Solve every frame of the range so that the handles follow their animated targets"""

    bl_idname = "draggan.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_pairs(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when the result arrives.
        return run(self, lambda: bake_job.start_bake(planes.require_active(context)))


class DRAGGAN_OT_refine_bake(bpy.types.Operator):
    """Solve each frame of the bake further, to half of the tolerance of the bake so far"""

    bl_idname = "draggan.refine_bake"
    bl_label = "Refine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_baked(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: bake_job.refine(planes.require_active(context)))


class DRAGGAN_OT_clear_bake(bpy.types.Operator):
    """Remove the bake and show what was there before; its files stay, so baking again is quick"""

    bl_idname = "draggan.clear_bake"
    bl_label = "Clear Bake"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_baked(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: bake_job.clear(planes.require_active(context)))


class DRAGGAN_OT_cancel(bpy.types.Operator):
    """Cancel the work on this image; a bake continues later, and of a picture the best is kept"""

    bl_idname = "draggan.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        # Where this is False, Esc keeps its other meanings.
        return poll_running(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        is_bake = plane.draggan.baking
        if plane.draggan.inverting:
            # The best so far is worth keeping, and a new image would be gone.
            drag_job.stop_drag(plane)
            return {"FINISHED"}
        pull.take_back(plane)
        text = f"{plane.name} was cancelled"
        plane.draggan.status = f"{text}; press Bake to continue it" if is_bake else text
        plane.draggan.failed = False
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_bake,
    DRAGGAN_OT_refine_bake,
    DRAGGAN_OT_clear_bake,
    DRAGGAN_OT_cancel,
)
