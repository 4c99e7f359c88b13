# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of *Apply to Many*: a slider that was kept from a drag, in other images."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty

from ...jobs import many, many_sheet, seed_sheet
from ...scene import free_place, kept_drags, own_directions, planes
from .common import Result, poll_plane, require, run
from .explore import PAGES
from .sliders import poll_slider


def poll_kept(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether the selected slider of an idle GAN image was kept from a drag."""
    if not poll_slider(cls, context):
        return False
    settings = planes.require_active(context).draggan
    index = settings.active_slider
    has_end = index < len(settings.sliders) and kept_drags.has_end(settings.sliders[index])
    text = "Select a slider in the list that was kept from a drag with Keep as Slider"
    return require(cls, has_end, text)


class DRAGGAN_OT_apply_to_many(bpy.types.Operator):
    """Give the other selected GAN images this slider, each at the strength for the same end"""

    bl_idname = "draggan.apply_to_many"
    bl_label = "Apply to Many"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not poll_kept(cls, context):
            return False
        plane = planes.require_active(context)
        others = own_directions.others(plane, context.selected_objects)
        text = "Select other GAN images of this model, too, and this one last"
        return require(cls, bool(others), text)

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when all results are there.
        plane = planes.require_active(context)
        others = own_directions.others(plane, context.selected_objects)
        return run(self, lambda: many.to_images(plane, plane.draggan.active_slider, others))


class DRAGGAN_OT_applied_sheet(bpy.types.Operator):
    """Show 16 seeds with this slider, each at its own strength, to choose from"""

    bl_idname = "draggan.applied_sheet"
    bl_label = "Apply to 16 Seeds"
    bl_options = {"REGISTER"}

    page: EnumProperty(
        name="Page",
        description="Which seeds to show",
        items=PAGES,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_kept(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        index = plane.draggan.active_slider
        if self.page == "CLOSE":
            many_sheet.close()
            return {"FINISHED"}
        shown = many_sheet.first_of(plane, index)
        first = seed_sheet.first_of_page(self.page, plane.draggan.source.seed, shown)
        return run(self, lambda: many_sheet.show(plane, index, first))


class DRAGGAN_OT_pick_applied(bpy.types.Operator):
    """Add a GAN image of this seed, with the slider at the strength for the same end"""

    bl_idname = "draggan.pick_applied"
    bl_label = "Pick from Apply to Many"
    bl_options = {"REGISTER"}

    seed: IntProperty(name="Seed", description="The seed of the new image", min=0)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_kept(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when the image is there.
        plane = planes.require_active(context)
        area = free_place.view_area(context)
        view = area.spaces.active.region_3d if area is not None else None
        place = free_place.find(context, view)
        index = plane.draggan.active_slider
        return run(self, lambda: many_sheet.pick(plane, index, self.seed, place))


class DRAGGAN_OT_cancel_many(bpy.types.Operator):
    """Cancel Apply to Many; no image changes"""

    bl_idname = "draggan.cancel_many"
    bl_label = "Cancel Apply to Many"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not poll_plane(cls, context):
            return False
        is_running = many.progress(planes.require_active(context)) is not None
        return require(cls, is_running, "No slider of this image is being applied")

    def execute(self, context: bpy.types.Context) -> Result:
        many.cancel(planes.require_active(context))
        return {"FINISHED"}


CLASSES = (
    DRAGGAN_OT_apply_to_many,
    DRAGGAN_OT_applied_sheet,
    DRAGGAN_OT_pick_applied,
    DRAGGAN_OT_cancel_many,
)
