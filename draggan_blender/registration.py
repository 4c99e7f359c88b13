# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender is told of, in order; taken back in reverse.

No try/except: an entry that cannot be taken back is a defect that must be seen.
"""

from __future__ import annotations

import bpy

from . import cli, delivery, operators, panels, preferences, properties, pump, recovery

_CLASSES = (
    preferences.DRAGGAN_preferences,
    *properties.CLASSES,
    *operators.CLASSES,
    *panels.CLASSES,
)
#: Each has ``register`` and ``unregister``. The pump comes first, so that it goes last but one:
#: the jobs that it ends still find their planes, and the planes their properties.
_MODULES = (properties, pump, delivery, recovery, cli)


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
