# SPDX-License-Identifier: GPL-3.0-or-later
"""Drag options in panels, which are drawn from the table of options."""

from __future__ import annotations

from typing import Any

import bpy

from ...properties.drag import drawn_name
from ...protocol.settings import FEATURE_PX, FEATURE_PX_OF_128, OPTIONS, in_panel

_FEATURE_UNITS = (FEATURE_PX, FEATURE_PX_OF_128)
# The spaces that the slider *Typical - Free* replaces, with the method that has it.
_PRICED = ("automatic", "by_hand")


def draw_options(layout: bpy.types.UILayout, drag: Any, group: str) -> None:
    """Draw the options of a group that the chosen method uses.

    Lengths in feature pixels follow the others, below a line that says so.
    """
    names = in_panel(group, drag.method)
    lengths = [name for name in names if OPTIONS[name].unit in _FEATURE_UNITS]
    column = layout.column(align=True)
    for name in names:
        if name == "freedom":
            _draw_freedom(layout, drag)
        elif name not in lengths and not (name == "latent_space" and _has_slider(drag)):
            column.prop(drag, drawn_name(name))
    if lengths:
        column = layout.column(align=True)
        column.label(text="In feature pixels:")
        for name in lengths:
            column.prop(drag, name)


def _has_slider(drag: Any) -> bool:
    """Return whether the slider is shown instead of the choice of a latent space.

    A file from before the slider, or a script, may have chosen another space.
    """
    return "freedom" in in_panel("method", drag.method) and drag.latent_space in _PRICED


def _draw_freedom(layout: bpy.types.UILayout, drag: Any) -> None:
    if not _has_slider(drag):
        return
    column = layout.column(align=True)
    column.prop(drag, "is_automatic")
    row = column.row()
    row.active = not drag.is_automatic
    row.prop(drag, "freedom", slider=True)
