# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Drag* panel and its settings: layout only."""

from __future__ import annotations

import bpy

from ...connection import pump
from ...jobs import live
from ...scene import images, planes
from ..tool import DRAGGAN_WT_pull
from .common import ImagePanel, draw_progress, draw_status
from .options import draw_options

# The groups of drag options, in the order in which they are shown; the mask's has its own panel.
_GROUPS = ("method", "ending", "features", "tuning")


class DRAGGAN_PT_drag(ImagePanel, bpy.types.Panel):
    """Starting a drag, its progress and its result."""

    bl_idname = "DRAGGAN_PT_drag"
    bl_label = "Drag"

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, pump.state()
        plane = planes.require_active(context)
        settings = plane.draggan
        if settings.request_id and not settings.baking:
            draw_progress(layout, settings, state)
            row = layout.row(align=True)
            row.operator("draggan.stop", icon="SNAP_FACE")
            if settings.dragging:
                paused = live.is_paused(plane)
                text, icon = ("Resume", "PLAY") if paused else ("Pause", "PAUSE")
                row.operator("draggan.pause", text=text, icon=icon)  # type: ignore[arg-type]
        else:
            column = layout.column()
            column.scale_y = 1.4
            column.operator("draggan.drag", icon="PLAY")
        _draw_tool(layout, context)
        if not images.shows_bake(plane):
            draw_status(layout, settings, state)
        row = layout.row(align=True)
        row.operator("draggan.reset", icon="LOOP_BACK")
        row.operator("draggan.render_again", icon="RENDER_ANIMATION")


def _draw_tool(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the button that chooses the Pull tool, pressed while the tool is chosen."""
    tool = context.workspace.tools.from_space_view3d_mode(context.mode, create=False)
    is_chosen = tool is not None and tool.idname == DRAGGAN_WT_pull.bl_idname
    choose = layout.operator(
        "wm.tool_set_by_id", text="Pull Tool", icon="VIEW_PAN", depress=is_chosen
    )
    choose.name = DRAGGAN_WT_pull.bl_idname


class DRAGGAN_PT_settings(ImagePanel, bpy.types.Panel):
    """The options of drags and bakes, and the folder that images are written into."""

    bl_idname = "DRAGGAN_PT_settings"
    bl_label = "Settings"
    bl_parent_id = "DRAGGAN_PT_drag"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings = planes.require_active(context).draggan
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for group in _GROUPS:
            draw_options(layout, settings.drag, group)
        layout.prop(settings, "folder")


CLASSES = (DRAGGAN_PT_drag, DRAGGAN_PT_settings)
