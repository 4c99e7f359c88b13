# SPDX-License-Identifier: GPL-3.0-or-later
"""A grid of small images, each with a button below it: a button of Blender shows no large image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ...jobs import seed_sheet

# The width that a tile should have, and what the borders of a panel take, px at a scale of 1.
_TILE_PX, _MARGIN_PX = 74, 50
# The height of a button, and the gap between images, px at a scale of 1.
_BUTTON_PX, _GAP_PX = 20, 6
# The width where there is no region to measure, px at a scale of 1.
_DEFAULT_PX = 222


def draw_tiles(
    layout: bpy.types.UILayout, tiles: list[tuple[int, Callable[[Any], None]]], columns: int = 0
) -> None:
    """Draw small images, each with a button, as large as the region has room for.

    Args:
        layout: Where to draw.
        tiles: For each image its icon, and a function that draws the button into a layout.
        columns: The number of columns; 0 for as many as the region has room for.
    """
    width_px = _width_px()
    columns = columns or max(int(width_px / _TILE_PX), 1)
    scale = max((width_px / columns - _GAP_PX) / _BUTTON_PX, 1.0)
    grid = layout.grid_flow(
        row_major=True, columns=columns, even_columns=True, even_rows=True, align=True
    )
    for icon, draw_button in tiles:
        tile = grid.column(align=True)
        tile.template_icon(icon_value=icon, scale=scale)
        draw_button(tile)
    for _ in range(-len(tiles) % columns):
        grid.column()  # the last row keeps the columns of the others


def draw_pages(layout: bpy.types.UILayout, operator: str, first: int) -> None:
    """Draw the buttons that turn the pages of a sheet of seeds.

    Args:
        layout: Where to draw.
        operator: The operator that shows a page, with the property ``page``.
        first: The first seed that is shown.
    """
    row = layout.row(align=True)
    row.operator(operator, text="", icon="TRIA_LEFT").page = "PREVIOUS"
    text = f"{first} to {first + seed_sheet.COUNT - 1}"
    row.operator(operator, text=text, icon="FILE_REFRESH").page = "HERE"
    row.operator(operator, text="", icon="TRIA_RIGHT").page = "NEXT"
    row.operator(operator, text="", icon="X").page = "CLOSE"


def _width_px() -> float:
    region, scale = bpy.context.region, bpy.context.preferences.system.ui_scale
    if region is None or region.type != "UI":
        return _DEFAULT_PX
    return max(region.width / scale - _MARGIN_PX, _BUTTON_PX + _GAP_PX)
