# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender is told of, in order; taken back in reverse.

No try/except: an entry that cannot be taken back is a defect that must be seen.
"""

from __future__ import annotations

import bpy

from . import (
    bake_panel,
    cli,
    delivery,
    farm_panel,
    farm_properties,
    keymaps,
    operators,
    panels,
    preferences,
    properties,
    pump,
    recovery,
    scrubbing,
    timeline_panels,
)

_CLASSES = (
    preferences.DRAGGAN_preferences,
    *properties.CLASSES,
    *farm_properties.CLASSES,
    *operators.CLASSES,
    *panels.CLASSES,
    *bake_panel.CLASSES,
    *timeline_panels.CLASSES,
    *farm_panel.CLASSES,
)
#: Each has ``register`` and ``unregister``. The pump comes first, so that it goes last but one:
#: the jobs that it ends still find their planes, and the planes their properties.
_MODULES = (properties, farm_properties, pump, delivery, recovery, scrubbing, keymaps, cli)


def register() -> None:
    """Tell Blender everything."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    for module in _MODULES:
        module.register()
    pump.configure(preferences.engine_settings)


def unregister() -> None:
    """Take everything back; the engine ends."""
    for module in reversed(_MODULES):
        module.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
