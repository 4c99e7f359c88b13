# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of animated sliders at the playhead, at frames that need no solving."""

from __future__ import annotations

from collections import OrderedDict

import bpy
import numpy as np

from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol.drag_messages import Preview
from ..protocol.pictures import decode_picture
from ..scene import sampling, shown, sliders
from .memory import KEPT_BYTES

# Latents that differ by less than this have the same image.
_EQUAL = 1e-5

# The uuid of a plane and a picture -> its image.
_known: OrderedDict[tuple[str, bytes], Preview] = OrderedDict()


def picture_at(plane: Plane, depsgraph: bpy.types.Depsgraph) -> bytes:
    """Return the still image of a plane with its sliders as they are at a frame, as a picture.

    Args:
        plane: The GAN image.
        depsgraph: Blender's dependency graph, evaluated at the frame.

    Raises:
        EditError: The image or a slider cannot be read.
    """
    # Each image of a drag has the sliders that the last one has.
    is_drag = plane.draggan.sequence.image is not None and plane.draggan.sequence.kind == "DRAG"
    below = shown.latent(plane) if is_drag else to_bytes(plane.draggan.latent)
    return sliders.applied(plane, below, sampling.sliders_at(plane, depsgraph))


def is_at_rest(plane: Plane, picture: bytes) -> bool:
    """Return whether a plane shows a picture without a preview.

    Raises:
        EditError: The image cannot be read.
    """
    one, other = (
        np.frombuffer(decode_picture(data).latent, "<f4") for data in (picture, shown.latent(plane))
    )
    return one.shape == other.shape and bool(np.abs(one - other).max() < _EQUAL)


def find(image_id: str, picture: bytes) -> Preview | None:
    """Return the image of a picture, if it is still kept."""
    return _known.get((image_id, picture))


def keep(image_id: str, picture: bytes, preview: Preview) -> None:
    """Keep the image of a picture, and drop the oldest beyond ``KEPT_BYTES``."""
    _known.pop((image_id, picture), None)
    _known[image_id, picture] = preview
    size = sum(len(one.pixels) for one in _known.values())
    while size > KEPT_BYTES and len(_known) > 1:
        size -= len(_known.popitem(last=False)[1].pixels)


def forget() -> None:
    """Forget all images."""
    _known.clear()
