# SPDX-License-Identifier: GPL-3.0-or-later
"""How handle and target look: white shapes, tinted by the colour of the object that shows them.

Blender draws an empty's wire shapes in the theme's one colour; the colour of an object counts
only for an empty that shows an image. Pure numpy, no bpy.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

SIZE_PX = 64
_EDGE = 2.0 / SIZE_PX


class Marker(Enum):
    """What a marker stands for; the value is the name of its image."""

    HANDLE = "GAN Handle Marker"
    """A disc with a dark rim and an open middle."""
    TARGET = "GAN Target Marker"
    """A ring with a cross."""


def pixels(marker: Marker) -> NDArray[np.float32]:
    """``SIZE_PX x SIZE_PX x 4`` float32 RGBA in [0, 1], straight alpha."""
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
    """A signed distance (inside is positive) as coverage, smooth over the edge of a pixel."""
    return np.clip(distance / _EDGE + 0.5, 0.0, 1.0)
