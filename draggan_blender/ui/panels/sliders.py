# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Directions* panel with the list of sliders, its strip, and *Style Mixing*: layout only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ...jobs import direction_library, directions, slider_strip
from ...properties.owners import Plane
from ...scene import planes
from .common import MadeImagePanel, is_narrow, pair_of
from .text import draw_text
from .tiles import draw_tiles


class DRAGGAN_UL_sliders(bpy.types.UIList):
    """A line for each slider: its name, strength, what drags may do, and visibility."""

    bl_idname = "DRAGGAN_UL_sliders"

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
        shown: Any = "COLOR" if item.kind == "STYLE" else "BLANK1"
        row.prop(item, "name", text="", emboss=False, icon=shown)
        if not is_narrow():
            slider = row.row(align=True)
            slider.active = item.visible
            slider.prop(item, "strength", text="", slider=True)
        row.prop(item, "in_drags", text="", icon_only=True, emboss=False)
        row.prop(
            item,
            "visible",
            text="",
            icon="HIDE_OFF" if item.visible else "HIDE_ON",
            emboss=False,
        )


class DRAGGAN_MT_sliders(bpy.types.Menu):
    """More about directions."""

    bl_idname = "DRAGGAN_MT_sliders"
    bl_label = "Directions"

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("draggan.flip_slider", icon="ARROW_LEFTRIGHT")
        layout.operator("draggan.zero_sliders", icon="LOOP_BACK")
        layout.operator("draggan.pull_back", icon="REW")
        layout.separator()
        layout.operator("draggan.find_directions", icon="VIEWZOOM")
        layout.operator("draggan.direction_from_images", icon="ADD")
        layout.operator("draggan.keep_as_slider", icon="PINNED")
        layout.operator("draggan.apply_to_many", icon="DUPLICATE")
        layout.operator("draggan.applied_sheet", icon="IMGDISPLAY").page = "HERE"
        layout.separator()
        layout.operator("draggan.import_directions", icon="IMPORT")
        layout.operator("draggan.export_directions", icon="EXPORT")
        layout.separator()
        layout.operator(
            "draggan.remove_slider", text="Remove and Forget Direction", icon="TRASH"
        ).forget = True


class DRAGGAN_PT_directions(MadeImagePanel, bpy.types.Panel):
    """The sliders of an image, along the directions of its model."""

    bl_idname = "DRAGGAN_PT_directions"
    bl_label = "Directions"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, plane = self.layout, planes.require_active(context)
        settings = plane.draggan
        if not settings.sliders:
            self._draw_start(plane)
            return
        row = layout.row()
        row.template_list(
            "DRAGGAN_UL_sliders", "", settings, "sliders", settings, "active_slider", rows=5
        )
        buttons = row.column(align=True)
        buttons.operator("draggan.add_slider", text="", icon="ADD")
        buttons.operator("draggan.remove_slider", text="", icon="REMOVE").forget = False
        buttons.menu("DRAGGAN_MT_sliders", text="", icon="DOWNARROW_HLT")
        buttons.separator()
        buttons.operator("draggan.move_slider", text="", icon="TRIA_UP").direction = "UP"
        buttons.operator("draggan.move_slider", text="", icon="TRIA_DOWN").direction = "DOWN"
        if settings.active_slider < len(settings.sliders):
            item = settings.sliders[settings.active_slider]
            if is_narrow():
                layout.prop(item, "strength", slider=True)
            layers = pair_of(layout)
            layers.prop(item, "first")
            layers.prop(item, "last")
            is_style = item.kind == "STYLE"
            _draw_strip(layout, plane, "CROSSINGS" if is_style else "STRENGTHS")
        row = pair_of(layout)
        row.operator("draggan.keep_as_slider", icon="PINNED")
        row.operator("draggan.render_sliders", icon="RENDER_ANIMATION")

    def _draw_start(self, plane: Plane) -> None:
        layout = self.layout
        if directions.is_finding(plane):
            layout.label(text="Looking for directions", icon="SORTTIME")
        elif direction_library.is_known(plane):
            layout.operator("draggan.add_slider", icon="ADD")
        else:
            layout.operator("draggan.find_directions", icon="VIEWZOOM")
        row = pair_of(layout)
        row.operator("draggan.keep_as_slider", icon="PINNED")
        row.menu("DRAGGAN_MT_sliders", text="More")


class DRAGGAN_PT_style_mixing(MadeImagePanel, bpy.types.Panel):
    """Structure of this image, colours and texture of another one."""

    bl_idname = "DRAGGAN_PT_style_mixing"
    bl_label = "Style Mixing"
    bl_parent_id = "DRAGGAN_PT_directions"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, planes.require_active(context).draggan
        row = pair_of(layout)
        row.operator("draggan.mix_style", icon="COLOR")
        row.operator("draggan.swap_style", icon="ARROW_LEFTRIGHT")
        if not any(item.kind == "STYLE" for item in settings.sliders):
            draw_text(layout, "Select the image whose style to take, then Shift-click this", "INFO")


def _draw_strip(layout: bpy.types.UILayout, plane: Plane, what: str) -> None:
    """Draw the strip of the active slider, or the button that shows it."""
    settings = plane.draggan
    item = settings.sliders[settings.active_slider]
    tiles = slider_strip.tiles_of(plane, settings.active_slider)
    row = layout.row(align=True)
    text = "Compare First Layers" if what == "CROSSINGS" else "Strip from -3 to 3"
    row.operator("draggan.slider_strip", text=text, icon="IMGDISPLAY").what = what
    if not tiles:
        return
    row.operator("draggan.slider_strip", text="", icon="X").what = "CLOSE"
    now = (round(item.strength, 4), item.first, item.last)
    drawn = [
        (icon, _button(number, tile.text, is_set=tuple(tile.setting) == now))
        for number, (tile, icon) in enumerate(tiles)
    ]
    draw_tiles(layout, drawn, columns=4)


def _button(number: int, text: str, *, is_set: bool) -> Callable[[Any], None]:
    def draw(layout: Any) -> None:
        button = layout.operator("draggan.pick_strip", text=text, depress=is_set, translate=False)
        button.number = number

    return draw


CLASSES = (
    DRAGGAN_UL_sliders,
    DRAGGAN_MT_sliders,
    DRAGGAN_PT_directions,
    DRAGGAN_PT_style_mixing,
)
