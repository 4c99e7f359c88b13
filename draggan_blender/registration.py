# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering everything with Blender, in order, and unregistering it in reverse order.

Errors are not caught: an entry that cannot be unregistered is a defect that must be reported.
"""

from __future__ import annotations

import bpy

from . import cli, preferences
from .connection import pump
from .export import farm_properties
from .jobs import (
    delivery,
    directions,
    edit_changes,
    explore,
    installation,
    library,
    live,
    many_sheet,
    missing_images,
    parts,
    point_check,
    pull,
    recovery,
    relative_paths,
    relinking,
    slider_strip,
    watching,
)
from .properties import image as image_properties
from .timeline import following, scrubbing
from .ui import (
    held_button,
    keymaps,
    lines,
    local_views,
    mask_tint,
    mask_watch,
    menus,
    new_windows,
    operators,
    overlay,
    panels,
    plain_views,
    point_watch,
    tool,
    view_transform,
)
from .ui.panels import installation as installation_panel

_CLASSES = (
    preferences.DRAGGAN_preferences,
    *image_properties.CLASSES,
    *farm_properties.CLASSES,
    *operators.CLASSES,
    *panels.CLASSES,
    *menus.CLASSES,
)

# Each has ``register`` and ``unregister``. The pump is unregistered after the modules that follow
# it and before the properties: the jobs that it ends still find their planes and properties.
_MODULES = (
    image_properties,
    farm_properties,
    pump,
    delivery,
    # Before recovery: at an undo, it takes back what is not in the undo history yet.
    pull,
    recovery,
    relative_paths,
    live,
    parts,
    point_check,
    watching,
    missing_images,
    library,
    relinking,
    explore,
    edit_changes,
    directions,
    slider_strip,
    many_sheet,
    held_button,
    scrubbing,
    following,
    installation,
    installation_panel,
    keymaps,
    menus,
    overlay,
    lines,
    point_watch,
    plain_views,
    local_views,
    new_windows,
    tool,
    mask_tint,
    mask_watch,
    view_transform,
    cli,
)


def register() -> None:
    """Register all classes and modules."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    for module in _MODULES:
        module.register()
    pump.configure(preferences.engine_settings)


def unregister() -> None:
    """Unregister all modules and classes, and end the engine."""
    for module in reversed(_MODULES):
        module.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
