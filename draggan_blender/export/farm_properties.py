# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a scene that a farm's job type reads: ``scene.draggan_farm``."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import PointerProperty, StringProperty

from .. import compat
from . import farm


def _images(group: Any) -> str:
    return farm.prepared_json(group.id_data)


class DRAGGAN_PG_farm(bpy.types.PropertyGroup):
    """The shared folder of a farm's bakes, and the images that are prepared."""

    base: StringProperty(
        name="Shared Folder",
        description="A folder that every worker of the farm can access under this same path; the "
        "bakes are saved there",
        subtype="DIR_PATH",
        options={"ANIMATABLE"} | compat.RELATIVE_PATH,
    )
    images: StringProperty(
        name="Prepared Images",
        description="The images that Prepare for Farm has prepared, as JSON",
        get=_images,
    )


CLASSES = (DRAGGAN_PG_farm,)

# The name under which the group is attached to a scene.
_NAME = "draggan_farm"


def register() -> None:
    """Attach the group, whose class must be registered already."""
    setattr(bpy.types.Scene, _NAME, PointerProperty(type=DRAGGAN_PG_farm))


def unregister() -> None:
    """Detach the group; the values that a file stores stay in the file."""
    delattr(bpy.types.Scene, _NAME)
