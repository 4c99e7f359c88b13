# SPDX-License-Identifier: GPL-3.0-or-later
"""Shortcuts: Esc cancels the work on an image, P is the Pull tool, F sets a radius.

While nothing is running, or no point is active, the operator's poll is False, and the key keeps its
other meanings. A modal operator would do the same as the first, but Blender makes no automatic
saves while one is running.
"""

from __future__ import annotations

from typing import Any

import bpy

from .tool import DRAGGAN_WT_pull

_items: list[tuple[Any, Any]] = []


def register() -> None:
    """Add the shortcuts to the key configuration of add-ons, which exists only with a window."""
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is None:
        return
    keymap = configuration.keymaps.new(name="3D View", space_type="VIEW_3D")
    _items.append((keymap, keymap.keymap_items.new("draggan.cancel", "ESC", "PRESS")))
    # Blender itself uses P in Object Mode with Ctrl or Alt only.
    keymap = configuration.keymaps.new(name="Object Mode")
    _items.append((keymap, keymap.keymap_items.new("wm.tool_set_by_id", "P", "PRESS")))
    _items[-1][1].properties.name = DRAGGAN_WT_pull.bl_idname
    # Blender itself uses F in Object Mode with Shift, Ctrl or Alt only.
    _items.append((keymap, keymap.keymap_items.new("draggan.set_radius", "F", "PRESS")))


def unregister() -> None:
    """Remove the shortcuts that ``register`` added."""
    while _items:
        keymap, item = _items.pop()
        keymap.keymap_items.remove(item)
