# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's ``Object`` with the properties that ``register`` attaches to it, for type checkers.

mypy finds a misspelled property because of it. At run time the name is Blender's own class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy

__all__ = ["Plane"]

if TYPE_CHECKING:
    from .image import DRAGGAN_PG_image

    class Plane(bpy.types.Object):
        """An object that is a GAN image."""

        draggan: DRAGGAN_PG_image

else:
    Plane = bpy.types.Object
