# SPDX-License-Identifier: GPL-3.0-or-later
"""The colour spaces that a GAN image's pixels are read in.

A view transform such as AgX changes the colours of all that is rendered. Blender's colour
configuration has, for some view transforms, a space for images that are already what the transform
should give; an image in this space is rendered with its own colours. The exceptions are very
saturated colours, which the transform gives for no input.
"""

from __future__ import annotations

from typing import Any

import bpy

from ..properties.owners import Plane
from . import planes

# What the engine writes, and the space for numbers that are no colours.
SRGB, DATA = "sRGB", "Non-Color"

# View transform -> the space that it is undone by.
_UNDONE_BY = {
    "AgX": "AgX Base sRGB",
    "Filmic": "Filmic sRGB",
    "Khronos PBR Neutral": "Khronos PBR Neutral sRGB",
}


def undone_by(scene: bpy.types.Scene) -> str | None:
    """Return the space that undoes a scene's view transform; None if it has no such space."""
    return _UNDONE_BY.get(scene.view_settings.view_transform)


def space_of(plane: Plane) -> str:
    """Return the space of the image on the plane itself."""
    if not plane.draggan.keep_colours or not plane.users_scene:
        return SRGB
    return undone_by(planes.scene_of(plane)) or SRGB


def set_space(image: bpy.types.Image | None, space: str) -> None:
    """Set the space that the pixels of an image are read in, if it differs.

    Setting it discards the pixels of an image that is on no disk.
    """
    if image is None:
        return
    settings: Any = image.colorspace_settings
    if settings.name != space:
        settings.name = space
