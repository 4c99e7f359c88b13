# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Pull* tool in the toolbar of the 3D view."""

from __future__ import annotations

from typing import Any

import bpy

from ..scene import planes

_DEFAULT_TOOL = "builtin.select_box"


class DRAGGAN_WT_pull(bpy.types.WorkSpaceTool):
    """The tool: its keys call ``draggan.pull``."""

    bl_space_type = "VIEW_3D"
    bl_context_mode = "OBJECT"
    bl_idname = "draggan.pull_tool"
    bl_label = "Pull GAN Image"
    bl_description = (
        "Press on a GAN image and pull: the image follows the mouse.\n"
        "A click sets a pin, which stays where it is; Ctrl-click removes a point"
    )
    bl_icon = "brush.uv_sculpt.grab"
    bl_widget = None
    bl_keymap = (
        ("draggan.pull", {"type": "LEFTMOUSE", "value": "PRESS"}, None),
        ("draggan.pull", {"type": "LEFTMOUSE", "value": "PRESS", "shift": True}, None),
        (
            "draggan.pull",
            {"type": "LEFTMOUSE", "value": "PRESS", "ctrl": True},
            {"properties": [("removes", True)]},
        ),
    )

    @staticmethod
    def draw_settings(context: bpy.types.Context, layout: Any, _tool: Any) -> None:
        """Draw the tool's settings in the header."""
        plane = planes.active(context)
        if plane is None:
            layout.label(text="Press on a GAN image and pull")
            return
        layout.prop(plane.draggan.drag, "method", text="")


def register() -> None:
    """Add the tool below Blender's transform tools."""
    bpy.utils.register_tool(DRAGGAN_WT_pull, after={"builtin.transform"}, separator=True)


def unregister() -> None:
    """Remove the tool; in windows where it is active, Blender's default tool becomes active."""
    for window in bpy.context.window_manager.windows:
        tool = window.workspace.tools.from_space_view3d_mode("OBJECT", create=False)
        area = next((area for area in window.screen.areas if area.type == "VIEW_3D"), None)
        if tool is None or tool.idname != DRAGGAN_WT_pull.bl_idname or area is None:
            continue
        region = next(region for region in area.regions if region.type == "WINDOW")
        with bpy.context.temp_override(window=window, area=area, region=region):
            bpy.ops.wm.tool_set_by_id(name=_DEFAULT_TOOL, space_type="VIEW_3D")
    bpy.utils.unregister_tool(DRAGGAN_WT_pull)
