# SPDX-License-Identifier: GPL-3.0-or-later
"""What a farm's job type reads of a scene: ``scene.draggan_farm``."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import PointerProperty, StringProperty

from . import farm


def _images(group: Any) -> str:
    return farm.prepared_json(group.id_data)


class DRAGGAN_PG_farm(bpy.types.PropertyGroup):
    """Where a farm's bakes go, and of what."""

    base: StringProperty(
        name="Shared Folder",
        description="A folder that every worker of the farm reaches under this very path; bakes "
        "go there",
        subtype="DIR_PATH",
    )
    images: StringProperty(
        name="Prepared Images",
        description="The images that Prepare for Farm has made ready, as JSON",
        get=_images,
    )


CLASSES = (DRAGGAN_PG_farm,)

# Where the group is attached to a scene.
_NAME = "draggan_farm"


def register() -> None:
    """Attach the group; its class is registered before."""
    setattr(bpy.types.Scene, _NAME, PointerProperty(type=DRAGGAN_PG_farm))


def unregister() -> None:
    """Detach it."""
    delattr(bpy.types.Scene, _NAME)
