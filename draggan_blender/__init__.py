# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of the extension: the panel, the scene, and the connection to the engine.

Importable without bpy, because the engine's Python and the tests load ``draggan_blender.protocol``
from here; everything that needs Blender is imported by :func:`register`.
"""

from __future__ import annotations

#: The extension as Blender names it (``bl_ext.<repository>.draggan_blender``): this package's
#: parent, where the manifest lies. Preferences and user folders want exactly this name.
ROOT_PACKAGE = (__package__ or "").rpartition(".")[0]


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from .registration import register as register_all

    register_all()


def unregister() -> None:
    """Called by Blender when the extension is disabled, and before it is replaced."""
    from .registration import unregister as unregister_all

    unregister_all()
