# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that Blender looks for beside the manifest; all it does is hand on.

The imports stand inside the functions so that tools which import every ``__init__`` on their
way (pytest does) can load this file without Blender.
"""

from __future__ import annotations


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from .draggan_blender import register as register_extension

    register_extension()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from .draggan_blender import unregister as unregister_extension

    unregister_extension()
