# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Drag* panel and its settings: layout only."""

from __future__ import annotations

import bpy

from ...connection import pump
from ...jobs import live, missing_images
from ...scene import images, planes
from ..tool import DRAGGAN_WT_pull
from .common import (
    ImagePanel,
    draw_actions,
    draw_progress,
    draw_restore,
    draw_status,
    pair_of,
)
from .options import draw_options


class DRAGGAN_PT_drag(ImagePanel, bpy.types.Panel):
    """How to drag, starting a drag, its progress and its result."""

    bl_idname = "DRAGGAN_PT_drag"
    bl_label = "Drag"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, pump.state()
        plane = planes.require_active(context)
        settings = plane.draggan
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings.drag, "preset")
        is_dragging = bool(settings.request_id and not settings.baking)
        row = draw_actions(layout, "draggan.drag", "PLAY", is_running=is_dragging)
        if settings.dragging:
            paused = live.is_paused(plane)
            text, icon = ("Resume", "PLAY") if paused else ("Pause", "PAUSE")
            row.operator("draggan.pause", text=text, icon=icon)  # type: ignore[arg-type]
        _draw_tool(layout, context)
        row = pair_of(layout)
        row.operator("draggan.reset", icon="LOOP_BACK")
        draw_restore(row, plane)
        # Always one line, and the last one, because a long sentence takes more: buttons must not
        # move under the mouse.
        if is_dragging:
            draw_progress(layout, settings, state)
        elif images.shows_bake(plane) and not missing_images.count(plane):
            layout.label()
        else:
            draw_status(layout, plane, state)


def _draw_tool(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the button that chooses the Pull tool, pressed while the tool is chosen."""
    tool = context.workspace.tools.from_space_view3d_mode(context.mode, create=False)
    is_chosen = tool is not None and tool.idname == DRAGGAN_WT_pull.bl_idname
    choose = layout.operator(
        "wm.tool_set_by_id", text="Pull Tool", icon="VIEW_PAN", depress=is_chosen
    )
    choose.name = DRAGGAN_WT_pull.bl_idname


class DRAGGAN_PT_settings(ImagePanel, bpy.types.Panel):
    """How drags and bakes are solved, when they end, and the folder of the images."""

    bl_idname = "DRAGGAN_PT_settings"
    bl_label = "Settings"
    bl_parent_id = "DRAGGAN_PT_drag"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings = planes.require_active(context).draggan
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for group in ("method", "ending"):
            draw_options(layout, settings.drag, group)
        layout.prop(settings, "folder")


class DRAGGAN_PT_expert(ImagePanel, bpy.types.Panel):
    """The settings inside of the method, which a preset sets well."""

    bl_idname = "DRAGGAN_PT_expert"
    bl_label = "Expert"
    bl_parent_id = "DRAGGAN_PT_settings"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings = planes.require_active(context).draggan
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for group in ("features", "tuning"):
            draw_options(layout, settings.drag, group)


CLASSES = (DRAGGAN_PT_drag, DRAGGAN_PT_settings, DRAGGAN_PT_expert)
