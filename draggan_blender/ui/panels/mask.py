# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Mask* panel: layout only."""

from __future__ import annotations

import bpy

from ...scene import mask_painting, planes
from .common import ImagePanel
from .options import draw_options
from .text import draw_text


class DRAGGAN_PT_mask(ImagePanel, bpy.types.Panel):
    """What of the image may change: painting the mask, and its tools."""

    bl_idname = "DRAGGAN_PT_mask"
    bl_label = "Mask"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        settings = planes.require_active(context).draggan
        if settings.mask is not None:
            self.layout.prop(
                settings,
                "show_mask",
                text="",
                icon="HIDE_OFF" if settings.show_mask else "HIDE_ON",
                emboss=False,
            )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        plane = planes.require_active(context)
        is_painting = mask_painting.is_painting(plane)
        column = layout.column()
        column.scale_y = 1.4
        column.operator(
            "draggan.mask_paint",
            text="Done" if is_painting else "Paint Mask",
            icon="CHECKMARK" if is_painting else "BRUSH_DATA",
            depress=is_painting,
        )
        row = layout.row(align=True)
        row.operator("draggan.mask_draw", text="Rectangle", icon="SELECT_SET").kind = "BOX"
        row.operator("draggan.mask_draw", text="Lasso", icon="GREASEPENCIL").kind = "LASSO"
        row.operator("draggan.select_part", text="Part", icon="EYEDROPPER")
        layout.operator_menu_enum(
            "draggan.mask_from_selection", "how", text="From Selection", icon="PIVOT_INDIVIDUAL"
        )
        row = layout.row(align=True)
        row.operator("draggan.mask_invert", text="Invert")
        row.operator("draggan.mask_fill", text="Fill")
        row.operator("draggan.mask_clear", text="Clear")
        self._draw_borders(context)
        drag = plane.draggan.drag
        column = layout.column(align=True)
        column.row(align=True).prop(drag, "mask_mode", expand=True)
        row = column.row(align=True)
        row.active = drag.mask_mode == "exact"
        row.prop(drag, "softness")
        row = column.row()
        row.active = drag.mask_mode == "exact"
        row.prop(plane.draggan, "mask_follows")
        layout.template_ID(plane.draggan, "mask", open="image.open")
        if is_painting:  # last, so that no button moves
            draw_text(layout, "Paint what stays; X changes to white, which may change", "INFO")

    def _draw_borders(self, context: bpy.types.Context) -> None:
        """Draw what works on the borders of the mask, all with one radius."""
        settings = context.scene.draggan
        column = self.layout.column(align=True)
        column.prop(settings, "mask_radius")
        row = column.row(align=True)
        for name, text in (("grow", "Grow"), ("shrink", "Shrink"), ("soften", "Soften")):
            row.operator(f"draggan.mask_{name}", text=text).radius = settings.mask_radius


class DRAGGAN_PT_mask_options(ImagePanel, bpy.types.Panel):
    """How a drag holds what the mask protects."""

    bl_idname = "DRAGGAN_PT_mask_options"
    bl_label = "Holding"
    bl_parent_id = "DRAGGAN_PT_mask"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        draw_options(layout, planes.require_active(context).draggan.drag, "mask")


CLASSES = (DRAGGAN_PT_mask, DRAGGAN_PT_mask_options)
