# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: Esc in the 3D view gives up what runs for the image that is worked on.

Where nothing runs the operator's poll lets the key through to whatever else it means. A modal
operator in its place would hold back Blender's automatic saves for as long as a bake takes.
"""

from __future__ import annotations

from typing import Any

import bpy

_items: list[tuple[Any, Any]] = []


def register() -> None:
    """Put the keys into the add-ons' key configuration; there is none without a window."""
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is None:
        return
    keymap = configuration.keymaps.new(name="3D View", space_type="VIEW_3D")
    _items.append((keymap, keymap.keymap_items.new("draggan.cancel", "ESC", "PRESS")))


def unregister() -> None:
    """Take them out again."""
    while _items:
        keymap, item = _items.pop()
        keymap.keymap_items.remove(item)
