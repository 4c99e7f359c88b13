# SPDX-License-Identifier: GPL-3.0-or-later
"""Drag options in panels, which are drawn from the table of options."""

from __future__ import annotations

from typing import Any

import bpy

from ...properties.drag import drawn_name
from ...protocol.settings import FEATURE_PX, FEATURE_PX_OF_128, OPTIONS, in_panel

_FEATURE_UNITS = (FEATURE_PX, FEATURE_PX_OF_128)


def draw_options(layout: bpy.types.UILayout, drag: Any, group: str) -> None:
    """Draw the options of a group that the chosen method uses.

    Lengths in feature pixels follow the others, below a line that says so.
    """
    names = in_panel(group, drag.method)
    lengths = [name for name in names if OPTIONS[name].unit in _FEATURE_UNITS]
    column = layout.column(align=True)
    for name in names:
        if name not in lengths:
            column.prop(drag, drawn_name(name))
    if lengths:
        column = layout.column(align=True)
        column.label(text="In feature pixels:")
        for name in lengths:
            column.prop(drag, name)
