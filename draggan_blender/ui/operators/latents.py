# SPDX-License-Identifier: GPL-3.0-or-later
"""Latent keys and blends: sequences that are made without solving."""

from __future__ import annotations

from typing import Any

import bpy

from ...jobs import bake as bake_job
from ...properties.owners import Plane
from ...scene import planes
from ...timeline import blending, latent_keys
from .common import Result, poll_idle, run


class DRAGGAN_OT_key_latent(bpy.types.Operator):
    """Make the image that is shown a latent key at this frame"""

    bl_idname = "draggan.key_latent"
    bl_label = "Key Latent"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is an image that nothing is running for."""
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Add it, or replace the one that is there."""

        def add() -> None:
            key = latent_keys.add_key(planes.require_active(context))
            self.report({"INFO"}, f"Keyed the latent at frame {key.frame}")

        return run(self, add)


class DRAGGAN_OT_remove_latent_key(bpy.types.Operator):
    """Remove the latent key that is chosen in the list"""

    bl_idname = "draggan.remove_latent_key"
    bl_label = "Remove Latent Key"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is one."""
        return _poll_filled(cls, context, "latent_keys", "There is no latent key")

    def execute(self, context: bpy.types.Context) -> Result:
        """Done at once."""
        plane = planes.require_active(context)
        latent_keys.remove_key(plane, plane.draggan.timeline.active_latent_key)
        return {"FINISHED"}


class DRAGGAN_OT_render_keys(bpy.types.Operator):
    """Render the sequence from the first latent key to the last"""

    bl_idname = "draggan.render_keys"
    bl_label = "Render Keys"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a latent key."""
        text = "Go to a frame and press Key Latent first"
        return _poll_filled(cls, context, "latent_keys", text)

    def execute(self, context: bpy.types.Context) -> Result:
        """Start it. Its one undo step is made when the result is there."""
        return run(self, lambda: latent_keys.render_keys(planes.require_active(context)))


class DRAGGAN_OT_add_blend_source(bpy.types.Operator):
    """Add an image to the mix: each selected GAN image that is not in it, or one to be chosen"""

    bl_idname = "draggan.add_blend_source"
    bl_label = "Add to Blend"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is an image to mix into."""
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Done at once."""
        plane = planes.require_active(context)
        known = {source.image for source in plane.draggan.timeline.blend_sources}
        chosen: list[Plane | None] = [
            candidate
            for candidate in context.selected_objects
            if planes.is_plane(candidate) and candidate != plane and candidate not in known
        ]
        for image in chosen or [None]:
            blending.add_source(plane, image)
        return {"FINISHED"}


class DRAGGAN_OT_remove_blend_source(bpy.types.Operator):
    """Take the image that is chosen in the list out of the mix"""

    bl_idname = "draggan.remove_blend_source"
    bl_label = "Remove from Blend"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is one."""
        return _poll_filled(cls, context, "blend_sources", "There is no image to mix")

    def execute(self, context: bpy.types.Context) -> Result:
        """Done at once."""
        plane = planes.require_active(context)
        blending.remove_source(plane, plane.draggan.timeline.active_blend_source)
        return {"FINISHED"}


class DRAGGAN_OT_blend(bpy.types.Operator):
    """Render the mix of the images at each frame of the range that a bake has, with their weights
    at it"""

    bl_idname = "draggan.blend"
    bl_label = "Render Blend"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is something to mix."""
        return _poll_filled(cls, context, "blend_sources", "Add two or more images to mix")

    def execute(self, context: bpy.types.Context) -> Result:
        """Start it. Its one undo step is made when the result is there."""
        plane = planes.require_active(context)
        return run(self, lambda: blending.blend(plane, bake_job.frames_of(plane)))


def _poll_filled(cls: Any, context: bpy.types.Context, collection: str, text: str) -> bool:
    if not poll_idle(cls, context):
        return False
    if not len(getattr(planes.require_active(context).draggan.timeline, collection)):
        cls.poll_message_set(text)
        return False
    return True


CLASSES = (
    DRAGGAN_OT_key_latent,
    DRAGGAN_OT_remove_latent_key,
    DRAGGAN_OT_render_keys,
    DRAGGAN_OT_add_blend_source,
    DRAGGAN_OT_remove_blend_source,
    DRAGGAN_OT_blend,
)
