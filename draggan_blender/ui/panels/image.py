# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Image* panel: layout only."""

from __future__ import annotations

import bpy

from ...scene import planes
from .common import SidebarPanel, pair_of
from .explore import draw_seed
from .models import draw_missing
from .text import draw_text

# Drawn for an image that cannot be changed here.
_LINKED = (
    "{} is linked from another file, and is not changed here; to change it, choose Object, "
    "Relations, Make Local, All"
)


class DRAGGAN_PT_image(SidebarPanel, bpy.types.Panel):
    """The model and the seed of the active image, or of the next one if none is active."""

    bl_idname = "DRAGGAN_PT_image"
    bl_label = "Image"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        plane = planes.active(context)
        if planes.is_of_another_file(context.object):
            draw_text(layout, _LINKED.format(context.object.name), "INFO")
        source = (plane or context.scene).draggan.source
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(source, "kind")
        if source.kind == "FILE":
            column.prop(source, "path")
            draw_missing(column, context)
        draw_seed(column, source)
        column.prop(source, "truncation_psi")
        # Before the first image it is not known whether a file has labels.
        has_labels = source.kind == "FILE" if plane is None else plane.draggan.label_count
        if has_labels:
            column.prop(source, "label")
        row = pair_of(layout)
        row.operator("draggan.new_image", icon="ADD")
        if plane is not None:
            row.operator("draggan.resample", icon="FILE_REFRESH")
        layout.operator("draggan.load_latent", icon="IMPORT")
        if plane is not None:
            kept = plane.draggan.keep_colours
            layout.operator("draggan.keep_colours", icon="COLOR", depress=kept)


CLASSES = (DRAGGAN_PT_image,)
