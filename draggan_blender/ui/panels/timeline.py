# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Timing*, *Image Keys*, *Blend* and *Export* panels: layout only.

They are closed at first, because a first drag needs none of them.
"""

from __future__ import annotations

from typing import Any

import bpy

from ...scene import planes, timing
from .common import MadeImagePanel


class DRAGGAN_PT_timing(MadeImagePanel, bpy.types.Panel):
    """Retiming: when each image of the sequence is shown."""

    bl_idname = "DRAGGAN_PT_timing"
    bl_label = "Timing"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        plane, layout = planes.require_active(context), self.layout
        if not timing.is_retimed(plane):
            layout.operator("draggan.retime", icon="MOD_TIME")
            return
        layout.prop(plane, timing.PROGRESS_PATH, text="Progress", slider=True)
        layout.operator("draggan.unretime", icon="X")


class DRAGGAN_UL_latent_keys(bpy.types.UIList):
    """A line for each image key: its frame."""

    bl_idname = "DRAGGAN_UL_latent_keys"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: Any,
        item: Any,
        icon: int | None,
        active_data: Any,
        active_property: str | None,
        index: int | None = 0,
        flt_flag: int | None = 0,
    ) -> None:
        layout.prop(item, "frame", text="Frame", emboss=False, icon="KEYFRAME_HLT")


class DRAGGAN_PT_latent_keys(MadeImagePanel, bpy.types.Panel):
    """The image keys, and rendering the sequence from the first to the last."""

    bl_idname = "DRAGGAN_PT_latent_keys"
    bl_label = "Image Keys"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        timeline, layout = planes.require_active(context).draggan.timeline, self.layout
        row = layout.row()
        row.template_list(
            "DRAGGAN_UL_latent_keys",
            "",
            timeline,
            "latent_keys",
            timeline,
            "active_latent_key",
            rows=3,
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.key_latent", text="", icon="KEY_HLT")
        buttons.operator("draggan.remove_latent_key", text="", icon="REMOVE")
        _draw_choice(layout, timeline, "interpolation")
        layout.operator("draggan.render_keys", icon="RENDER_ANIMATION")


class DRAGGAN_UL_blend_sources(bpy.types.UIList):
    """A line for each image of the blend: the image and its weight."""

    bl_idname = "DRAGGAN_UL_blend_sources"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: Any,
        item: Any,
        icon: int | None,
        active_data: Any,
        active_property: str | None,
        index: int | None = 0,
        flt_flag: int | None = 0,
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "image", text="")
        row.prop(item, "weight", text="")


class DRAGGAN_PT_blend(MadeImagePanel, bpy.types.Panel):
    """The images of the blend with their weights, and rendering it."""

    bl_idname = "DRAGGAN_PT_blend"
    bl_label = "Blend"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        timeline, layout = planes.require_active(context).draggan.timeline, self.layout
        row = layout.row()
        row.template_list(
            "DRAGGAN_UL_blend_sources",
            "",
            timeline,
            "blend_sources",
            timeline,
            "active_blend_source",
            rows=3,
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.add_blend_source", text="", icon="ADD")
        buttons.operator("draggan.remove_blend_source", text="", icon="REMOVE")
        layout.operator("draggan.blend", icon="RENDER_ANIMATION")


class DRAGGAN_PT_export(MadeImagePanel, bpy.types.Panel):
    """Writing images, a video, the track or a portable copy of the file."""

    bl_idname = "DRAGGAN_PT_export"
    bl_label = "Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        column.operator("draggan.export_frames", icon="IMAGE_DATA")
        column.operator("draggan.export_video", icon="FILE_MOVIE")
        column.operator("draggan.export_track", icon="GRAPH")
        self.layout.operator("draggan.bake_down", icon="PACKAGE")


def _draw_choice(layout: bpy.types.UILayout, data: Any, name: str) -> None:
    """Draw a menu with its label to the left."""
    row = layout.row()
    row.use_property_split = True
    row.use_property_decorate = False
    row.prop(data, name)


CLASSES = (
    DRAGGAN_PT_timing,
    DRAGGAN_UL_latent_keys,
    DRAGGAN_PT_latent_keys,
    DRAGGAN_UL_blend_sources,
    DRAGGAN_PT_blend,
    DRAGGAN_PT_export,
)
