# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of image keys and of blends: sequences that are made without solving."""

from __future__ import annotations

from typing import Any

import bpy

from ...jobs import bake as bake_job
from ...properties.owners import Plane
from ...scene import planes
from ...timeline import blending, latent_keys
from .common import Result, poll_idle, require, run


def _poll_filled(cls: Any, context: bpy.types.Context, collection: str, text: str) -> bool:
    """Return whether an idle GAN image is active whose timeline has items in a collection."""
    return poll_idle(cls, context) and require(
        cls, len(getattr(planes.require_active(context).draggan.timeline, collection)) > 0, text
    )


class DRAGGAN_OT_key_latent(bpy.types.Operator):
    """Add the image that is shown as a key at the current frame, or replace the key there"""

    bl_idname = "draggan.key_latent"
    bl_label = "Add Image Key"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        def add() -> None:
            key = latent_keys.add_key(planes.require_active(context))
            self.report({"INFO"}, f"Added an image key at frame {key.frame}")

        return run(self, add)


class DRAGGAN_OT_remove_latent_key(bpy.types.Operator):
    """Remove the image key that is selected in the list"""

    bl_idname = "draggan.remove_latent_key"
    bl_label = "Remove Image Key"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_filled(cls, context, "latent_keys", "There is no image key")

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        latent_keys.remove_key(plane, plane.draggan.timeline.active_latent_key)
        return {"FINISHED"}


class DRAGGAN_OT_render_keys(bpy.types.Operator):
    """Render a sequence that changes from each image key to the next, from the first to the last"""

    bl_idname = "draggan.render_keys"
    bl_label = "Render Image Keys"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        text = "Go to a frame and press Add Image Key first"
        return _poll_filled(cls, context, "latent_keys", text)

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when the result arrives.
        return run(self, lambda: latent_keys.render_keys(planes.require_active(context)))


class DRAGGAN_OT_add_blend_source(bpy.types.Operator):
    """Add the other selected GAN images to the blend, or an entry to choose an image in"""

    bl_idname = "draggan.add_blend_source"
    bl_label = "Add to Blend"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
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
    """Remove the image that is selected in the list from the blend"""

    bl_idname = "draggan.remove_blend_source"
    bl_label = "Remove from Blend"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_filled(cls, context, "blend_sources", "There is no image in the blend")

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        blending.remove_source(plane, plane.draggan.timeline.active_blend_source)
        return {"FINISHED"}


class DRAGGAN_OT_blend(bpy.types.Operator):
    """Render the blend of the images, with their weights at each frame of the range of a bake"""

    bl_idname = "draggan.blend"
    bl_label = "Render Blend"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_filled(cls, context, "blend_sources", "Add two or more images to the blend")

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when the result arrives.
        plane = planes.require_active(context)
        return run(self, lambda: blending.blend(plane, bake_job.frames_of(plane)))


CLASSES = (
    DRAGGAN_OT_key_latent,
    DRAGGAN_OT_remove_latent_key,
    DRAGGAN_OT_render_keys,
    DRAGGAN_OT_add_blend_source,
    DRAGGAN_OT_remove_blend_source,
    DRAGGAN_OT_blend,
)
