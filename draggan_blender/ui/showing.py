# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a new image before a person's eyes: selected, textured and framed."""

from __future__ import annotations

from typing import Any

import bpy

from ..properties.owners import Plane
from ..scene import free_place


def select(context: bpy.types.Context, plane: Plane) -> None:
    """Make a plane the only selected object, and the active one."""
    for selected in context.selected_objects:
        selected.select_set(False)
    if plane.name in context.view_layer.objects:
        plane.select_set(True)
        context.view_layer.objects.active = plane


def texture(space: Any) -> None:
    """Have a 3D view, a ``SpaceView3D``, show textures if its shading is Solid."""
    if space.shading.type == "SOLID":
        space.shading.color_type = "TEXTURE"


def show(context: bpy.types.Context, area: Any | None, plane: Plane) -> None:
    """Have a 3D view show a plane and its image; the plane is selected.

    A view in Solid shading shows the textures of materials from now on, as the image is one. The
    view moves only if it does not show the plane well.

    Args:
        context: The Blender context.
        area: The 3D view, or None if no window is open.
        plane: The GAN image.
    """
    if area is None:
        return
    space = area.spaces.active
    if space.local_view is not None:
        plane.local_view_set(space, True)
    texture(space)
    if not free_place.is_in_sight(context, area, plane):
        with context.temp_override(area=area, region=free_place.window_region(area)):
            bpy.ops.view3d.view_selected()
