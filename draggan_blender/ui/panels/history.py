# SPDX-License-Identifier: GPL-3.0-or-later
"""The *History* panel: layout only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ...scene import history, planes, thumbnails
from .common import ImagePanel
from .tiles import draw_tiles


class DRAGGAN_PT_history(ImagePanel, bpy.types.Panel):
    """The states of the image as small pictures; a click goes back to one."""

    bl_idname = "DRAGGAN_PT_history"
    bl_label = "History"

    def draw(self, context: bpy.types.Context) -> None:
        layout, plane = self.layout, planes.require_active(context)
        stored = plane.draggan.history
        if not stored.states:
            layout.label(text="Each seed, drag and bake is kept here")
            return
        draw_tiles(
            layout,
            [
                (thumbnails.icon_of_text(state.thumbnail), _button(state, stored.active))
                for state in stored.states
            ],
        )
        state = history.active(plane)
        row = layout.row(align=True)
        if state is not None:
            row.prop(state, "title", text="", placeholder=history.label(state), icon="GREASEPENCIL")
        row.operator("draggan.delete_state", text="", icon="TRASH")
        parent = None if state is None else history.find(plane, state.parent)
        if parent is not None:
            layout.label(text=f"Made from {history.label(parent)}", icon="BLANK1")
        layout.operator("draggan.duplicate_image", icon="DUPLICATE")


class DRAGGAN_PT_history_settings(ImagePanel, bpy.types.Panel):
    """How many states are kept, and what they cost."""

    bl_idname = "DRAGGAN_PT_history_settings"
    bl_label = "History Settings"
    bl_parent_id = "DRAGGAN_PT_history"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        plane = planes.require_active(context)
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(plane.draggan.history, "keep")
        megabytes = history.cost_bytes(plane) / 1e6
        layout.label(text=f"{megabytes:.1f} MB in this file", icon="FILE_BLEND")


def _button(state: Any, active: int) -> Callable[[Any], None]:
    def draw(layout: Any) -> None:
        name = history.label(state)
        button = layout.operator(
            "draggan.go_to_state", text=name, depress=state.number == active, translate=False
        )
        button.number = state.number

    return draw


CLASSES = (DRAGGAN_PT_history, DRAGGAN_PT_history_settings)
