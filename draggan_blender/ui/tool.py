# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pull tool in the toolbar of the 3D view, Object Mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..jobs import live, pull
from ..scene import planes

# The tool that is active after the extension was disabled.
_OTHER = "builtin.select_box"

_AT_ONCE = {"properties": [("starts_at_once", True)]}


class DRAGGAN_WT_pull(bpy.types.WorkSpaceTool):
    """The tool: a press pulls, a click sets a pin, Ctrl-click removes points, Shift masks."""

    bl_space_type = "VIEW_3D"
    bl_context_mode = "OBJECT"
    bl_idname = "draggan.pull_tool"
    bl_label = "Pull"
    bl_description = (
        "Pull at a GAN image with the mouse, and the image follows.\n"
        "\N{BULLET} Click to set a pin, which stays in place.\n"
        "\N{BULLET} Drag a point to move it.\n"
        "\N{BULLET} Ctrl-click removes a point.\n"
        "\N{BULLET} Shift-click masks the part under the mouse; the wheel grows and shrinks it.\n"
        "\N{BULLET} Shift-drag masks what may change; with Ctrl, both take away"
    )
    bl_icon = str(Path(__file__).with_name("icons") / "draggan.pull")
    bl_cursor = "CROSSHAIR"
    bl_keymap = (
        ("draggan.pull", {"type": "LEFTMOUSE", "value": "PRESS"}, None),
        ("draggan.remove_at_mouse", {"type": "LEFTMOUSE", "value": "PRESS", "ctrl": True}, None),
        ("draggan.mask_draw", {"type": "LEFTMOUSE", "value": "PRESS", "shift": True}, _AT_ONCE),
        (
            "draggan.mask_draw",
            {"type": "LEFTMOUSE", "value": "PRESS", "shift": True, "ctrl": True},
            _AT_ONCE,
        ),
    )

    @staticmethod
    def draw_settings(context: Any, layout: Any, tool: Any) -> None:
        layout.prop(tool.operator_properties("draggan.pull"), "radius")
        layout.prop(tool.operator_properties("draggan.mask_draw"), "kind", text="Mask")
        layout.prop(context.scene.draggan, "show_points", text="", icon="OVERLAY")
        plane = planes.active(context)
        if plane is None or not plane.draggan.dragging:
            return
        paused = live.is_paused(plane)
        text, icon = ("Resume", "PLAY") if paused else ("Pause", "PAUSE")
        row = layout.row(align=True)
        row.operator("draggan.stop", icon="SNAP_FACE")
        row.operator("draggan.pause", text=text, icon=icon)
        row.operator("draggan.cancel", icon="X")


def _leave() -> None:
    """Choose another tool wherever this one is chosen: a tool that is gone would leave its keys."""
    from bl_ui.space_toolsystem_common import ToolSelectPanelHelper

    helper: Any = ToolSelectPanelHelper
    helper = helper._tool_class_from_space_type("VIEW_3D")
    other, index = helper._tool_get_by_id(bpy.context, _OTHER)
    for workspace in bpy.data.workspaces:
        tool: Any = workspace.tools.from_space_view3d_mode("OBJECT", create=False)
        if tool is None or tool.idname != DRAGGAN_WT_pull.bl_idname or other is None:
            continue
        # Blender crashes if a text is left out.
        tool.setup(
            idname=other.idname,
            index=index,
            cursor=other.cursor or "DEFAULT",
            keymap=other.keymap[0] if other.keymap else "",
            gizmo_group=other.widget or "",
            data_block=other.data_block or "",
            operator=other.operator or "",
            options=set(other.options or ()),
            idname_fallback="",
            keymap_fallback="",
        )


def register() -> None:
    """Add the tool; without a window there is no toolbar."""
    if bpy.context.window_manager.keyconfigs.addon is not None:
        bpy.utils.register_tool(DRAGGAN_WT_pull, after={"builtin.transform"}, separator=True)


def unregister() -> None:
    """Choose another tool where this one is chosen, and remove it."""
    if pull.is_held():
        # The pull itself is taken back by ``jobs.pull``.
        for window in bpy.context.window_manager.windows:
            window.cursor_modal_restore()
            window.workspace.status_text_set(None)
    if hasattr(DRAGGAN_WT_pull, "_bl_tool"):
        _leave()
        bpy.utils.unregister_tool(DRAGGAN_WT_pull)
