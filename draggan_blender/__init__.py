# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of the extension: the user interface, the scene, and the connection to the engine.

This module can be imported without ``bpy``, because the engine and the tests import
``draggan_blender.protocol``; ``register`` imports everything that needs Blender.
"""

from __future__ import annotations


def register() -> None:
    """Register all classes, handlers and timers of the extension."""
    from .registration import register as register_all

    register_all()


def unregister() -> None:
    """Remove everything that ``register`` added, and end the engine."""
    from .registration import unregister as unregister_all

    unregister_all()
