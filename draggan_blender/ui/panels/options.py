# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing a group of drag options, of which each method uses some."""

from __future__ import annotations

from typing import Any

import bpy

from ...protocol.settings import in_panel


def draw_options(layout: bpy.types.UILayout, drag: Any, group: str) -> None:
    """Draw the options of a group that the chosen method uses."""
    column = layout.column(align=True)
    for name in in_panel(group, drag.method):
        column.prop(drag, name)
