# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar's panels for what is made without solving, and for what leaves Blender: layout only.

Closed at first: nobody needs them for a first drag.
"""

from __future__ import annotations

from typing import Any

import bpy

from ...scene import planes, timing
from .main import ImagePanel


class DRAGGAN_PT_timing(ImagePanel, bpy.types.Panel):
    """When each image of the sequence is shown."""

    bl_idname = "DRAGGAN_PT_timing"
    bl_label = "Timing"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        plane, layout = planes.require_active(context), self.layout
        if not timing.is_retimed(plane):
            layout.operator("draggan.retime", icon="MOD_TIME")
            return
        layout.prop(plane, timing.PROGRESS_PATH, text="Progress", slider=True)
        layout.operator("draggan.unretime", icon="X")


class DRAGGAN_UL_latent_keys(bpy.types.UIList):
    """A line for each latent key: its frame."""

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
        """Called by Blender."""
        layout.prop(item, "frame", text="Frame", emboss=False, icon="KEYFRAME_HLT")


class DRAGGAN_PT_latent_keys(ImagePanel, bpy.types.Panel):
    """Images that are set at frames."""

    bl_idname = "DRAGGAN_PT_latent_keys"
    bl_label = "Latent Keys"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        timeline, layout = planes.require_active(context).draggan.timeline, self.layout
        row = layout.row()
        row.template_list(
            *("DRAGGAN_UL_latent_keys", "", timeline, "latent_keys"),
            *(timeline, "active_latent_key"),
            rows=3,
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.key_latent", text="", icon="KEY_HLT")
        buttons.operator("draggan.remove_latent_key", text="", icon="REMOVE")
        _draw_choice(layout, timeline, "interpolation")
        layout.operator("draggan.render_keys", icon="RENDER_ANIMATION")


class DRAGGAN_UL_blend_sources(bpy.types.UIList):
    """A line for each image of the mix: which, and how much of it."""

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
        """Called by Blender."""
        row = layout.row(align=True)
        row.prop(item, "image", text="")
        row.prop(item, "weight", text="")


class DRAGGAN_PT_blend(ImagePanel, bpy.types.Panel):
    """The mix of other images."""

    bl_idname = "DRAGGAN_PT_blend"
    bl_label = "Blend"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        timeline, layout = planes.require_active(context).draggan.timeline, self.layout
        row = layout.row()
        row.template_list(
            *("DRAGGAN_UL_blend_sources", "", timeline, "blend_sources"),
            *(timeline, "active_blend_source"),
            rows=3,
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.add_blend_source", text="", icon="ADD")
        buttons.operator("draggan.remove_blend_source", text="", icon="REMOVE")
        layout.operator("draggan.blend", icon="RENDER_ANIMATION")


class DRAGGAN_PT_export(ImagePanel, bpy.types.Panel):
    """Files for other programs and other people."""

    bl_idname = "DRAGGAN_PT_export"
    bl_label = "Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        """Called by Blender."""
        column = self.layout.column(align=True)
        column.operator("draggan.export_frames", icon="IMAGE_DATA")
        column.operator("draggan.export_video", icon="FILE_MOVIE")
        column.operator("draggan.export_track", icon="GRAPH")
        self.layout.operator("draggan.bake_down", icon="PACKAGE")


def _draw_choice(layout: bpy.types.UILayout, data: Any, name: str) -> None:
    """A menu beside its name."""
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
