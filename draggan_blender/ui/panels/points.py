# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Points* panel with its list of pairs: layout only."""

from __future__ import annotations

from typing import Any

import bpy

from ...scene import planes, points
from .common import ImagePanel


class DRAGGAN_UL_pairs(bpy.types.UIList):
    """A line for each pair: whether it is enabled, its name and its influence."""

    bl_idname = "DRAGGAN_UL_pairs"

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
        row.prop(item, "enabled", text="")
        gone = points.missing(item, context.scene)
        if gone:
            row.label(text=f"{item.name}: no {' and no '.join(gone)}", icon="ERROR")
            return
        row.prop(item, "name", text="", emboss=False)
        row.prop(item, "influence", text="")


class DRAGGAN_PT_points(ImagePanel, bpy.types.Panel):
    """The list of the image's pairs of points, and adding and removing them."""

    bl_idname = "DRAGGAN_PT_points"
    bl_label = "Points"

    def draw(self, context: bpy.types.Context) -> None:
        settings = planes.require_active(context).draggan
        row = self.layout.row()
        row.template_list(
            "DRAGGAN_UL_pairs", "", settings, "pairs", settings, "active_pair", rows=3
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.add_pair", text="", icon="ADD")
        buttons.operator("draggan.remove_pair", text="", icon="REMOVE")


CLASSES = (DRAGGAN_UL_pairs, DRAGGAN_PT_points)
