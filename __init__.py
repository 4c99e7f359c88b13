# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that Blender loads next to the manifest; it calls ``draggan_blender``.

The functions do the imports, so that tools that import every ``__init__`` (pytest does) can load
this file without Blender.
"""

from __future__ import annotations


def register() -> None:
    """Register the extension; Blender calls this when the extension is enabled."""
    from .draggan_blender import register as register_extension

    register_extension()


def unregister() -> None:
    """Unregister the extension; Blender calls this when the extension is disabled."""
    from .draggan_blender import unregister as unregister_extension

    unregister_extension()
