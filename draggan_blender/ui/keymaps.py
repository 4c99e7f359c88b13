# SPDX-License-Identifier: GPL-3.0-or-later
"""Shortcuts: Esc in the 3D view cancels the request of the active GAN image, P is the Pull tool.

While nothing is running, the operator's poll is False, and the key keeps its other meanings. A
modal operator would do the same, but Blender makes no automatic saves while one is running.
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


def unregister() -> None:
    """Remove the shortcuts that ``register`` added."""
    while _items:
        keymap, item = _items.pop()
        keymap.keymap_items.remove(item)
