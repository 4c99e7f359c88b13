# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed with its buttons, and the contact sheet of seeds: layout only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ...jobs import seed_sheet
from ...scene import planes
from .common import SidebarPanel
from .tiles import draw_pages, draw_tiles


def draw_seed(layout: bpy.types.UILayout, source: Any) -> None:
    """Draw the field of the seed, with the buttons *Previous*, *Next* and *Random* beside it."""
    row = layout.row(align=True)
    row.prop(source, "seed")
    row.operator("draggan.previous_seed", text="", icon="TRIA_LEFT")
    row.operator("draggan.next_seed", text="", icon="TRIA_RIGHT")
    row.operator("draggan.random_seed", text="", icon="RNDCURVE")


class DRAGGAN_PT_seeds(SidebarPanel, bpy.types.Panel):
    """A contact sheet: small images of seeds to choose from, also before there is an image."""

    bl_idname = "DRAGGAN_PT_seeds"
    bl_label = "Contact Sheet"
    bl_parent_id = "DRAGGAN_PT_image"

    def draw(self, context: bpy.types.Context) -> None:
        layout, plane = self.layout, planes.active(context)
        first = seed_sheet.first_of(plane)
        if first is None:
            layout.operator(
                "draggan.seed_sheet", text="Show 16 Seeds", icon="IMGDISPLAY"
            ).page = "HERE"
            return
        shown = -1 if plane is None else plane.draggan.source.seed
        tiles = [(icon, _button(seed, shown)) for seed, icon in seed_sheet.icons(plane)]
        draw_tiles(layout, tiles, columns=4)
        draw_pages(layout, "draggan.seed_sheet", first)


def _button(seed: int, shown: int) -> Callable[[Any], None]:
    def draw(layout: Any) -> None:
        button = layout.operator(
            "draggan.pick_seed", text=str(seed), depress=seed == shown, translate=False
        )
        button.chosen = seed

    return draw


CLASSES = (DRAGGAN_PT_seeds,)
