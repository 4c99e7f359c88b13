# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that make, update and restore GAN images, and that set the view transform."""

from __future__ import annotations

import bpy
from bpy.props import FloatProperty, FloatVectorProperty, IntProperty, StringProperty

from ...jobs import image as image_job
from ...properties.image import DEFAULT_SEED
from ...protocol.pictures import NO_LABEL
from ...scene import free_place, models, planes
from .. import showing
from .common import Result, poll_free, poll_idle, require, run


class DRAGGAN_OT_new_image(bpy.types.Operator):
    """Add a plane with an image of the model, in sight and beside what is there"""

    bl_idname = "draggan.new_image"
    bl_label = "New GAN Image"
    bl_options = {"REGISTER"}

    model: StringProperty(
        name="Model",
        description="suzanne for the built-in model, or the path of a checkpoint; empty for the "
        "model in the panel",
        options={"SKIP_SAVE"},
    )
    seed: IntProperty(
        name="Seed",
        description="Each seed gives a different image; the default is the seed in the panel, or "
        "the next one that no image has",
        default=DEFAULT_SEED,
        min=0,
        options={"SKIP_SAVE"},
    )
    truncation_psi: FloatProperty(
        name="Truncation",
        description="How far the image may be from the model's average: lower is more typical, "
        "higher is more varied; the default is the truncation in the panel",
        default=0.7,
        min=-2.0,
        max=2.0,
        options={"SKIP_SAVE"},
    )
    label: IntProperty(
        name="Label",
        description="What the image shows, for a model that was trained with labels: the number of "
        "the label, or -1 for none; the default is the label in the panel",
        default=0,
        min=NO_LABEL,
        max=65535,
        options={"SKIP_SAVE"},
    )
    location: FloatVectorProperty(
        name="Location",
        description="Where the plane is put; the default is a free place in sight",
        subtype="TRANSLATION",
        options={"SKIP_SAVE"},
    )
    rotation: FloatVectorProperty(
        name="Rotation",
        description="How the plane is turned, if a location is given",
        subtype="EULER",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> Result:
        active = planes.active(context)
        shown = (active or context.scene).draggan.source
        model = self.model
        area = free_place.view_area(context)

        def new() -> int:
            given = self.properties.is_property_set
            chosen = model or models.for_new_images(context)
            place = free_place.Place(tuple(self.location), tuple(self.rotation))
            if not given("location"):
                view = area.spaces.active.region_3d if area is not None else None
                place = free_place.find(context, view)
            plane = image_job.new_image(
                context,
                chosen,
                self.seed if given("seed") else models.free_seed(chosen, shown.seed),
                self.truncation_psi if given("truncation_psi") else shown.truncation_psi,
                self.label if given("label") else shown.label,
                place.location,
                place.rotation,
            )
            showing.select(context, plane)
            showing.show(context, area, plane)
            request_id: int = plane.draggan.request_id
            return request_id

        return run(self, new)


class DRAGGAN_OT_resample(bpy.types.Operator):
    """Show the image of this model, seed and truncation; drags and bakes stay in the history"""

    bl_idname = "draggan.resample"
    bl_label = "Update Image"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_free(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: image_job.resample(planes.require_active(context)))


class DRAGGAN_OT_render_again(bpy.types.Operator):
    """Restore missing images: render them again from what this file stores, without solving"""

    bl_idname = "draggan.render_again"
    bl_label = "Restore Images"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: image_job.render_again(planes.require_active(context)))


class DRAGGAN_OT_use_standard_view(bpy.types.Operator):
    """Set the scene's view transform to Standard, which shows the image's colours unchanged"""

    bl_idname = "draggan.use_standard_view"
    bl_label = "Use Standard"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        transform: str = context.scene.view_settings.view_transform
        return require(cls, transform != "Standard", "The view transform is already Standard")

    def execute(self, context: bpy.types.Context) -> Result:
        view = context.scene.view_settings
        # The look belongs to a view transform, so it changes, too.
        view.view_transform, view.look = "Standard", "None"
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_new_image,
    DRAGGAN_OT_resample,
    DRAGGAN_OT_render_again,
    DRAGGAN_OT_use_standard_view,
)
