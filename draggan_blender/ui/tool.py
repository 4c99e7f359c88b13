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
    """Remove the tool; where it is active, Blender's default tool becomes active."""
    for workspace in bpy.data.workspaces:
        tool = workspace.tools.from_space_view3d_mode("OBJECT", create=False)
        if tool is not None and tool.idname == DRAGGAN_WT_pull.bl_idname:
            tool.setup(idname=_DEFAULT_TOOL)
    bpy.utils.unregister_tool(DRAGGAN_WT_pull)
