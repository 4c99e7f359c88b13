# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Edits* panel with the list of masked edits: layout only."""

from __future__ import annotations

from typing import Any

import bpy

from ...scene import planes
from .common import ImagePanel, is_narrow, pair_of
from .text import draw_text


class DRAGGAN_UL_edits(bpy.types.UIList):
    """A line for each edit: whether it is worked on, its name, strength and visibility."""

    bl_idname = "DRAGGAN_UL_edits"

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
        is_worked_on = item.key == data.worked_edit
        row.prop(
            item,
            "name",
            text="",
            emboss=False,
            icon="GREASEPENCIL" if is_worked_on else "BLANK1",
        )
        if not is_narrow():
            slider = row.row(align=True)
            slider.active = item.visible
            slider.prop(item, "strength", text="", slider=True)
        row.prop(
            item,
            "visible",
            text="",
            icon="HIDE_OFF" if item.visible else "HIDE_ON",
            emboss=False,
        )


class DRAGGAN_PT_edits(ImagePanel, bpy.types.Panel):
    """What drags under each mask have changed, as a list that is applied from its top on."""

    bl_idname = "DRAGGAN_PT_edits"
    bl_label = "Edits"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, planes.require_active(context).draggan
        if not settings.edits:
            draw_text(
                layout, "Each drag under another mask is an edit of its own, listed here", "INFO"
            )
            return
        row = layout.row()
        row.template_list(
            "DRAGGAN_UL_edits", "", settings, "edits", settings, "active_edit", rows=3
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.new_edit", text="", icon="ADD")
        buttons.operator("draggan.remove_edit", text="", icon="REMOVE")
        buttons.separator()
        buttons.operator("draggan.move_edit", text="", icon="TRIA_UP").direction = "UP"
        buttons.operator("draggan.move_edit", text="", icon="TRIA_DOWN").direction = "DOWN"
        row = pair_of(layout)
        row.operator("draggan.edit_this", icon="GREASEPENCIL")
        row.operator("draggan.render_edits", icon="RENDER_ANIMATION")
        if is_narrow() and settings.active_edit < len(settings.edits):
            layout.prop(settings.edits[settings.active_edit], "strength", slider=True)


CLASSES = (DRAGGAN_UL_edits, DRAGGAN_PT_edits)
