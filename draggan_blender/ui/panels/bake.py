# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Bake* panel and its settings: layout only."""

from __future__ import annotations

import bpy

from ...connection import pump
from ...jobs import missing_images
from ...scene import images, planes
from .common import (
    ImagePanel,
    draw_actions,
    draw_progress,
    draw_restore,
    draw_status,
    pair_of,
)


class DRAGGAN_PT_bake(ImagePanel, bpy.types.Panel):
    """Starting a bake, its progress and its result."""

    bl_idname = "DRAGGAN_PT_bake"
    bl_label = "Bake"

    def draw(self, context: bpy.types.Context) -> None:
        plane = planes.require_active(context)
        layout, settings = self.layout, plane.draggan
        is_baking = bool(settings.request_id and settings.baking)
        draw_actions(layout, "draggan.bake", "REC", is_running=is_baking)
        row = pair_of(layout)
        row.operator("draggan.refine_bake", icon="ZOOM_IN")
        row.operator("draggan.clear_bake", icon="TRASH")
        if is_baking:
            draw_progress(layout, settings, pump.state())
        elif images.shows_bake(plane):
            draw_status(layout, plane, pump.state())
            if missing_images.count(plane):
                draw_restore(layout, plane)
        else:
            layout.label()


class DRAGGAN_PT_bake_settings(ImagePanel, bpy.types.Panel):
    """The range of frames to bake, and how they are baked."""

    bl_idname = "DRAGGAN_PT_bake_settings"
    bl_label = "Bake Settings"
    bl_parent_id = "DRAGGAN_PT_bake"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, bake = self.layout, planes.require_active(context).draggan.bake
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(bake, "use_own_range")
        column = layout.column(align=True)
        column.active = bake.use_own_range
        column.prop(bake, "frame_start")
        column.prop(bake, "frame_end")
        layout.prop(bake, "smoothing")
        layout.prop(bake, "follow")


CLASSES = (DRAGGAN_PT_bake, DRAGGAN_PT_bake_settings)
