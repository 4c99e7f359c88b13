# SPDX-License-Identifier: GPL-3.0-or-later
"""*Apply to Many* below *Directions*, with its contact sheet: layout only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ...jobs import many, many_sheet
from ...scene import kept_drags, own_directions, planes
from .common import MadeImagePanel
from .text import draw_text
from .tiles import draw_pages, draw_tiles


class DRAGGAN_PT_many(MadeImagePanel, bpy.types.Panel):
    """A slider that was kept from a drag, in other images, as far in each."""

    bl_idname = "DRAGGAN_PT_many"
    bl_label = "Apply to Many"
    bl_parent_id = "DRAGGAN_PT_directions"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, plane = self.layout, planes.require_active(context)
        settings, now = plane.draggan, many.progress(plane)
        if now is not None:
            _draw_progress(layout, *now)
        index = settings.active_slider
        rows = settings.sliders
        if index >= len(rows) or not kept_drags.has_end(rows[index]):
            draw_text(layout, "Drag, press Keep as Slider, and select that slider", "INFO")
            return
        layout.prop(rows[index], "exact")
        if now is None:
            count = len(own_directions.others(plane, context.selected_objects))
            text = f"Apply to {count} Other Image{'' if count == 1 else 's'}"
            layout.operator("draggan.apply_to_many", text=text, icon="DUPLICATE")
        first = many_sheet.first_of(plane, index)
        if first is None:
            layout.operator(
                "draggan.applied_sheet", text="Show in 16 Seeds", icon="IMGDISPLAY"
            ).page = "HERE"
            return
        tiles = many_sheet.tiles_of(plane, index)
        draw_tiles(layout, [(tile.icon, _button(tile)) for tile in tiles], columns=4)
        draw_pages(layout, "draggan.applied_sheet", first)
        if any(tile.problem for tile in tiles):
            draw_text(layout, "The end was not reached, or the content not found for sure", "ERROR")


def _draw_progress(layout: bpy.types.UILayout, done: int, total: int) -> None:
    row = layout.row(align=True)
    row.progress(factor=done / total, text=f"{done} of {total} image{'' if total == 1 else 's'}")
    row.operator("draggan.cancel_many", text="", icon="X")


def _button(tile: many_sheet.Tile) -> Callable[[Any], None]:
    def draw(layout: Any) -> None:
        if tile.problem:
            button = layout.operator(
                "draggan.pick_applied", text=str(tile.seed), icon="ERROR", translate=False
            )
        else:
            button = layout.operator("draggan.pick_applied", text=str(tile.seed), translate=False)
        button.seed = tile.seed

    return draw


CLASSES = (DRAGGAN_PT_many,)
