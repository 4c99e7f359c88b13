# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake, Refine, Clear Bake, and Cancel."""

from __future__ import annotations

from typing import Any

import bpy

from ...jobs import bake as bake_job
from ...jobs import recovery
from ...scene import images, planes
from .common import Result, poll_idle, poll_pairs, poll_plane, run


def _poll_baked(cls: Any, context: bpy.types.Context) -> bool:
    """Whether a GAN image is active that shows a bake and has nothing running."""
    if not poll_idle(cls, context):
        return False
    if not images.shows_bake(planes.require_active(context)):
        cls.poll_message_set("There is no bake; press Bake first")
        return False
    return True


class DRAGGAN_OT_bake(bpy.types.Operator):
    """Solve every frame of the range so that the handles follow their animated targets"""

    bl_idname = "draggan.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is an image and an enabled pair."""
        return poll_pairs(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Start it, or go on with it. Its one undo step is made when the result is there."""
        return run(self, lambda: bake_job.start_bake(planes.require_active(context)))


class DRAGGAN_OT_refine_bake(bpy.types.Operator):
    """Solve each frame of the bake further, to half of the tolerance it was solved to"""

    bl_idname = "draggan.refine_bake"
    bl_label = "Refine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a bake."""
        return _poll_baked(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Start it, or go on with it."""
        return run(self, lambda: bake_job.refine(planes.require_active(context)))


class DRAGGAN_OT_clear_bake(bpy.types.Operator):
    """Take the bake away and show what was there before; its files stay, so that Bake is quick"""

    bl_idname = "draggan.clear_bake"
    bl_label = "Clear Bake"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a bake."""
        return _poll_baked(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Done at once."""
        return run(self, lambda: bake_job.clear(planes.require_active(context)))


class DRAGGAN_OT_cancel(bpy.types.Operator):
    """Give up what runs for this image; a bake that is started again goes on where it was"""

    bl_idname = "draggan.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether something runs; otherwise Esc means what it means elsewhere."""
        if not poll_plane(cls, context):
            return False
        if not planes.require_active(context).draggan.request_id:
            cls.poll_message_set("Nothing is running for this image")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        """The image is at once what it was before."""
        plane = planes.require_active(context)
        is_bake = plane.draggan.baking
        recovery.cancel(plane)
        text = f"{plane.name} was cancelled"
        plane.draggan.status = f"{text}; Bake goes on where it was" if is_bake else text
        plane.draggan.failed = False
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_bake,
    DRAGGAN_OT_refine_bake,
    DRAGGAN_OT_clear_bake,
    DRAGGAN_OT_cancel,
)
