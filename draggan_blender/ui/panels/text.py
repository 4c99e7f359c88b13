# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in the sidebar, broken into lines: a label of Blender does not wrap."""

from __future__ import annotations

from typing import Any, Literal

import blf
import bpy

# The icons that a sentence may have before its first line.
Icon = Literal["NONE", "INFO", "ERROR", "CHECKMARK", "BLANK1"]

# The font that Blender draws its interface with.
_FONT = 0
# What borders, a box and the icon take from the width of the region, in px at a scale of 1.
_MARGIN_PX = 76
# The width where there is no region to measure, and the smallest width, in px at a scale of 1.
_DEFAULT_PX, _LEAST_PX = 164, 80


def draw_text(layout: bpy.types.UILayout, text: str, icon: Icon) -> None:
    """Draw a sentence in as many lines as it needs in the region that is being drawn."""
    preferences, region = bpy.context.preferences, bpy.context.region
    scale = preferences.system.ui_scale
    width_px = _DEFAULT_PX * scale
    area = bpy.context.area
    is_wide = area is not None and area.type == "PREFERENCES"
    if region is not None and (region.type == "UI" or is_wide):
        width_px = max(region.width - _MARGIN_PX * scale, _LEAST_PX * scale)
    styles: Any = preferences.ui_styles
    blf.size(_FONT, styles[0].widget.points * scale)
    column = layout.column(align=True)
    for line in lines_of(text, width_px):
        column.label(text=line, icon=icon)
        icon = "BLANK1"


def lines_of(text: str, width_px: float) -> list[str]:
    """Break a text between words into lines that are at most ``width_px`` wide.

    A word that is wider has a line to itself. The font's size is the one that was set last.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def width_of(text: str) -> float:
    """Return the width of a text in px, at the font size that was set last."""
    size: Any = blf.dimensions(_FONT, text)
    return float(size[0])
