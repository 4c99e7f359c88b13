# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that Blender looks for beside the manifest; it calls ``draggan_blender``.

The imports are inside the functions, so that tools that import every ``__init__`` (as pytest does)
can load this file without Blender.
"""

from __future__ import annotations


def register() -> None:
    """Register the extension."""
    from .draggan_blender import register as register_extension

    register_extension()


def unregister() -> None:
    """Unregister the extension."""
    from .draggan_blender import unregister as unregister_extension

    unregister_extension()
