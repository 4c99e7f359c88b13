# SPDX-License-Identifier: GPL-3.0-or-later
"""Making GAN images, sampling another seed, rendering again, and showing true colours."""

from __future__ import annotations

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty

from ...jobs import image as image_job
from ...properties.owners import Plane
from ...scene import models, planes
from .common import Result, poll_idle, poll_plane, run


class DRAGGAN_OT_new_image(bpy.types.Operator):
    """Make a plane with an image of the model at the 3D cursor"""

    bl_idname = "draggan.new_image"
    bl_label = "New GAN Image"
    bl_options = {"REGISTER"}

    model: StringProperty(
        name="Model",
        description="suzanne, or the path of a checkpoint; empty for what the panel shows",
        options={"SKIP_SAVE"},
    )
    seed: IntProperty(name="Seed", default=1, min=0, options={"SKIP_SAVE"})
    truncation_psi: FloatProperty(
        name="Truncation", default=0.7, min=-2.0, max=2.0, options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Result:
        """What was not given is taken from the panel."""
        active = planes.active(context)
        shown = (active or context.scene).draggan.source
        model = self.model

        def new() -> int:
            given = self.properties.is_property_set
            plane = image_job.new_image(
                context,
                model or (models.BUILT_IN_MODEL if shown.kind == "BUILT_IN" else shown.path),
                self.seed if given("seed") else shown.seed,
                self.truncation_psi if given("truncation_psi") else shown.truncation_psi,
                context.scene.cursor.location,
            )
            _select(context, plane)
            request_id: int = plane.draggan.request_id
            return request_id

        return run(self, new)


class DRAGGAN_OT_resample(bpy.types.Operator):
    """Show the image of this model, seed and truncation; the drags of the plane are given up"""

    bl_idname = "draggan.resample"
    bl_label = "Sample"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether a GAN image is active that nothing is running for."""
        if not poll_plane(cls, context):
            return False
        if planes.require_active(context).draggan.request_id:
            cls.poll_message_set("The engine is working on this image; wait, or press Stop")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        """Ask the engine."""
        return run(self, lambda: image_job.resample(planes.require_active(context)))


class DRAGGAN_OT_render_again(bpy.types.Operator):
    """Render the images again from the latents in this file, where their folder is missing"""

    bl_idname = "draggan.render_again"
    bl_label = "Render Again"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is something to render."""
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Ask the engine."""
        return run(self, lambda: image_job.render_again(planes.require_active(context)))


class DRAGGAN_OT_use_standard_view(bpy.types.Operator):
    """Set this scene's view transform to Standard, which shows an image's colours as they are"""

    bl_idname = "draggan.use_standard_view"
    bl_label = "Use Standard"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether it is another."""
        if context.scene.view_settings.view_transform == "Standard":
            cls.poll_message_set("The view transform is Standard already")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        """Change it, with the look, which belongs to a view transform."""
        view = context.scene.view_settings
        view.view_transform, view.look = "Standard", "None"
        return {"FINISHED"}


def _select(context: bpy.types.Context, plane: Plane) -> None:
    for selected in context.selected_objects:
        selected.select_set(False)
    if plane.name in context.view_layer.objects:
        plane.select_set(True)
        context.view_layer.objects.active = plane


CLASSES = (
    DRAGGAN_OT_new_image,
    DRAGGAN_OT_resample,
    DRAGGAN_OT_render_again,
    DRAGGAN_OT_use_standard_view,
)
