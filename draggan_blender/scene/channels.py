# SPDX-License-Identifier: GPL-3.0-or-later
"""Further channels of an image: grey images beside the colours, of models with five or more.

The image of the colours, still or sequence, has each further channel as a custom property, so that
the history, undo and the saved file keep them together. The plane's material has an Image Texture
node for each, which shows the same frame as the colours; a person links it to what it should drive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.file_names import COLOUR_CHANNELS, channel_stem
from . import planes, timing

# The custom property of an image, and the name of a node, without the number of the channel.
_PROPERTY, _NODE = "draggan_channel_", "GAN Image Channel "
# The colour space of further channels: numbers have no colours that a view transform could change.
SPACE = "Non-Color"
_STEP = 280.0


def files(path: Path, frame: str = "") -> Iterator[tuple[int, Path]]:
    """Yield the files of further channels that exist beside that of the colours.

    Args:
        path: The file of the colours.
        frame: What its name ends with after the stem: the number of a frame, with its line; empty
            for a still.
    """
    stem = path.stem.removesuffix(frame)
    channel = COLOUR_CHANNELS + 1
    while (found := path.with_name(f"{channel_stem(stem, channel)}{frame}.png")).is_file():
        yield channel, found
        channel += 1


def keep(image: bpy.types.Image, channel: int, further: bpy.types.Image) -> None:
    """Keep the image of a further channel with that of the colours."""
    further.name = f"{image.name} Channel {channel}"
    settings: Any = further.colorspace_settings
    settings.name = SPACE
    before = of(image).get(channel)
    image[f"{_PROPERTY}{channel}"] = further
    if before is not None and before.users == 0:
        bpy.data.images.remove(before)


def of(image: bpy.types.Image | None) -> dict[int, bpy.types.Image]:
    """Return the images of an image's further channels, by the number of the channel."""
    if image is None:
        return {}
    found = {}
    properties: Any = image
    for name in properties.keys():  # noqa: SIM118 (an ID is no dictionary)
        number, further = name.removeprefix(_PROPERTY), properties[name]
        if number.isdecimal() and isinstance(further, bpy.types.Image):
            found[int(number)] = further
    return found


def show(plane: Plane, image: bpy.types.Image | None) -> None:
    """Let the nodes of the further channels show those of an image; missing nodes are made.

    Args:
        plane: The GAN image.
        image: What the plane shows at rest.
    """
    try:
        texture: Any = planes.texture_node(plane)
    except EditError:
        return
    tree, shown = texture.id_data, of(image)
    for channel, further in shown.items():
        node = tree.nodes.get(f"{_NODE}{channel}") or _new_node(texture, channel)
        node.image = further
        if plane.draggan.sequence.image is None:
            timing.forget_place(node)
        else:
            timing.place(plane, node)
    for node in tree.nodes:
        number = node.name.removeprefix(_NODE)
        if node.type == "TEX_IMAGE" and number.isdecimal() and int(number) not in shown:
            node.image = None


def stem_of(stem: str, channel: int) -> str:
    """Return what the names of a channel's files start with; channel 0 stands for the colours."""
    return channel_stem(stem, channel) if channel else stem


def stems(image: bpy.types.Image | None, stem: str) -> list[str]:
    """Return what the names of all files of a sequence start with, those of the colours first."""
    return [stem, *(channel_stem(stem, channel) for channel in of(image))]


def _new_node(texture: Any, channel: int) -> bpy.types.ShaderNodeTexImage:
    node: bpy.types.ShaderNodeTexImage = texture.id_data.nodes.new("ShaderNodeTexImage")
    node.name = node.label = f"{_NODE}{channel}"
    node.extension = texture.extension
    below = channel - COLOUR_CHANNELS
    node.location = (texture.location.x, texture.location.y - _STEP * below)
    return node
