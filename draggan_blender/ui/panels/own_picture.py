# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Own Picture* panel: layout only."""

from __future__ import annotations

from typing import Any

import bpy

from ...connection import pump
from ...protocol.losses import DISCRIMINATOR, VGG
from ...scene import picture_frame, planes
from .common import SidebarPanel, draw_progress, pair_of
from .text import draw_text

_ICONS: dict[str, Any] = {"covered": "CHECKMARK", "roughly": "INFO", "not": "ERROR"}


class DRAGGAN_PT_own_picture(SidebarPanel, bpy.types.Panel):
    """Images from a person's own picture: the frame on it, tuning, and blending back."""

    bl_idname = "DRAGGAN_PT_own_picture"
    bl_label = "Own Picture"
    bl_parent_id = "DRAGGAN_PT_image"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, plane = self.layout, planes.active(context)
        layout.operator("draggan.image_from_picture", icon="IMAGE_DATA")
        if plane is None or plane.draggan.own.picture is None:
            return
        settings, own = plane.draggan, plane.draggan.own
        row = pair_of(layout)
        row.operator(
            "draggan.picture_frame", icon="CLIPUV_HLT", depress=picture_frame.is_shown(plane)
        )
        row.operator("draggan.whole_picture", icon="FULLSCREEN_ENTER")
        layout.operator("draggan.two_places", icon="CURSOR")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(own, "refine")
        column.prop(own, "seconds")
        column.prop(own, "tune")
        if own.tune:
            column.prop(own, "tune_seconds")
        row = layout.row(align=True)
        if settings.inverting:
            row.operator("draggan.stop", icon="SNAP_FACE")
            draw_progress(layout, settings, pump.state())
            return
        row.operator("draggan.find_picture", icon="VIEWZOOM")
        if own.sentence:
            draw_text(layout, own.sentence, _ICONS.get(own.coverage, "INFO"))
        layout.operator("draggan.blend_back", icon="IMAGE_ALPHA")
        layout.prop(own, "with_matte")
        for name in ("blended", "matte"):
            if getattr(own, name) is not None:
                layout.prop(own, name)


class DRAGGAN_PT_own_picture_expert(SidebarPanel, bpy.types.Panel):
    """How picture and image are compared, and noise maps."""

    bl_idname = "DRAGGAN_PT_own_picture_expert"
    bl_label = "Expert"
    bl_parent_id = "DRAGGAN_PT_own_picture"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = planes.active(context)
        return plane is not None and plane.draggan.own.picture is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout, own = self.layout, planes.require_active(context).draggan.own
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(own, "loss")
        if own.loss in (DISCRIMINATOR, VGG):
            layout.prop(own, "loss_path")
        layout.prop(own, "noise")


CLASSES = (DRAGGAN_PT_own_picture, DRAGGAN_PT_own_picture_expert)
