# SPDX-License-Identifier: GPL-3.0-or-later
"""Transparency of planes whose images have alpha, the fourth channel of some models.

The material of a plane is emission only. An image with alpha gets a Mix Shader between Transparent
and what the plane shows, with the image's alpha as its factor. Materials that a person has changed
are left alone.
"""

from __future__ import annotations

from typing import Any

import bpy

from ..errors import EditError
from ..properties.owners import Plane
from . import planes

# The depth of an 8-bit image with four channels, in bits per pixel.
_RGBA_DEPTH = 32


def has_alpha(image: bpy.types.Image) -> bool:
    """Return whether an 8-bit image has an alpha channel."""
    return image.depth == _RGBA_DEPTH


def show(plane: Plane) -> None:
    """Let the plane's material show the alpha of its still image, if that has any."""
    still = plane.draggan.still
    if still is None or not has_alpha(still):
        return
    try:
        texture: Any = planes.texture_node(plane)
    except EditError:
        return  # the material was replaced, and may show the image in any other way
    tree = texture.id_data
    alpha = texture.outputs["Alpha"]
    output = next((node for node in tree.nodes if node.type == "OUTPUT_MATERIAL"), None)
    links = output.inputs["Surface"].links if output is not None else ()
    is_ours = bool(links) and links[0].from_node.type == "EMISSION"
    if output is None or not is_ours or alpha.is_linked:
        return
    emission = links[0].from_node
    mix = tree.nodes.new("ShaderNodeMixShader")
    clear = tree.nodes.new("ShaderNodeBsdfTransparent")
    mix.location = (output.location.x - 180.0, output.location.y)
    output.location.x += 60.0
    clear.location = (emission.location.x, emission.location.y + 120.0)
    tree.links.new(alpha, mix.inputs[0])
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(emission.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    # Sorted blending has no noise, and planes seldom cross each other.
    slot = planes.slot_of(plane)
    if slot is not None:
        slot.material.surface_render_method = "BLENDED"
