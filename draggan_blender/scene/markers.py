# SPDX-License-Identifier: GPL-3.0-or-later
"""What handles and targets look like: white shapes, tinted by the colour of the object.

Blender draws the wire shapes of all empties in one colour of the theme. It uses the colour of the
object only for an empty that shows an image. Pure numpy, no bpy.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

# Width and height of a marker's image.
SIZE_PX = 64

# The size of a pixel in the units of the shapes, in which the image reaches from -1 to 1.
_EDGE = 2.0 / SIZE_PX


class Marker(Enum):
    """A kind of marker; the value is the name of its image in the .blend."""

    # A disc with a dark rim and an open middle.
    HANDLE = "GAN Handle Marker"
    # A ring with a cross.
    TARGET = "GAN Target Marker"


def pixels(marker: Marker) -> NDArray[np.float32]:
    """Return the image of a marker, ``SIZE_PX x SIZE_PX x 4`` float32.

    The values are RGBA in [0, 1] with straight alpha. The rows may be in either order, because both
    shapes are symmetrical.
    """
    centres = (np.arange(SIZE_PX) + 0.5) / SIZE_PX * 2.0 - 1.0
    x, y = np.meshgrid(centres, centres)
    radius = np.hypot(x, y)
    if marker is Marker.HANDLE:
        shape = np.minimum(0.72 - radius, radius - 0.16)
        halo = np.minimum(0.92 - radius, radius - 0.02)
    else:
        arms = np.minimum(0.07 - np.minimum(np.abs(x), np.abs(y)), 0.9 - radius)
        ring = 0.08 - np.abs(radius - 0.68)
        shape = np.maximum(arms, ring)
        halo = shape + 0.09
    level, alpha = _inside(shape), _inside(halo)
    image = np.empty((SIZE_PX, SIZE_PX, 4), dtype=np.float32)
    image[:, :, :3] = level[:, :, None]
    image[:, :, 3] = alpha
    return image


def _inside(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert signed distances, positive inside, to coverage in [0, 1], smooth over one pixel."""
    return np.clip(distance / _EDGE + 0.5, 0.0, 1.0)
