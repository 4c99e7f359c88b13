# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the head that an artist pulls: how much of a motion each vertex takes.

The module needs only numpy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tools.suzanne.shapes import smoothstep

Array = NDArray[np.float64]

# Centres in the coordinates of Blender's monkey mesh of size 2, which faces -y; x > 0.
EAR_ROOT = (0.82, 0.2, 0.15)
EYE_CENTRE = (0.35, -0.7, 0.24)
MOUTH_CENTRE = (0.0, -0.7, -0.72)


def _ear(at: Array) -> Array:
    x, y, _ = at.T
    return smoothstep(0.72, 0.95, x) * smoothstep(-0.15, 0.15, y)


def _eye(at: Array) -> Array:
    x, y, z = at.T
    distance = np.hypot(x - EYE_CENTRE[0], z - EYE_CENTRE[2])
    return smoothstep(0.46, 0.26, distance) * smoothstep(-0.3, -0.55, y)


def _brow(at: Array) -> Array:
    return _ball(at, (0.32, -0.82, 0.63), (0.34, 0.5, 0.24))


def _muzzle(at: Array) -> Array:
    # The muzzle stretches: the chin takes all of a motion, the bridge of the nose nothing.
    x, y, z = at.T
    front = smoothstep(-0.15, -0.5, y) * smoothstep(0.75, 0.45, np.abs(x))
    return front * smoothstep(0.0, -0.95, z)


def _nose(at: Array) -> Array:
    return _ball(at, (0.0, -0.78, -0.26), (0.32, 0.45, 0.3))


def _mouth(at: Array) -> Array:
    return _ball(at, MOUTH_CENTRE, (0.55, 0.5, 0.34))


def _jaw(at: Array) -> Array:
    _, y, z = at.T
    return smoothstep(-0.76, -0.86, z) * smoothstep(-0.1, -0.45, y)


def _cheek(at: Array) -> Array:
    return _ball(at, (0.42, -0.65, -0.02), (0.3, 0.4, 0.26))


def _skull(at: Array) -> Array:
    x, _, z = at.T
    return smoothstep(0.4, 0.95, z) * smoothstep(1.0, 0.7, np.abs(x))


def _ball(at: Array, centre: tuple[float, ...], radii: tuple[float, ...]) -> Array:
    """Return 1 in the middle half of an ellipsoid, and 0 outside it."""
    distance = np.linalg.norm((at - centre) / radii, axis=1)
    return smoothstep(1.0, 0.45, distance)


PARTS: dict[str, Callable[[Array], Array]] = {
    "ear": _ear,
    "eye": _eye,
    "brow": _brow,
    "muzzle": _muzzle,
    "nose": _nose,
    "mouth": _mouth,
    "jaw": _jaw,
    "cheek": _cheek,
    "skull": _skull,
}


def weights(part: str, coordinates: Array, side: int) -> Array:
    """Return how much of a motion of a part each vertex takes.

    Args:
        part: A key of ``PARTS``.
        coordinates: ``V x 3`` float64, the vertices of Blender's monkey mesh of size 2.
        side: 1 for the part at x > 0, -1 for its mirror image; parts in the middle are the same.

    Returns:
        ``V`` float64 in [0, 1].
    """
    return PARTS[part](coordinates * (side, 1.0, 1.0))


def around(coordinates: Array, vertex: int, radius: float) -> Array:
    """Return the same for the surroundings of a vertex, fading out at a distance of ``radius``."""
    return _ball(coordinates, tuple(coordinates[vertex]), (radius,) * 3)
