# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the head: how far each factor of shape moves each vertex.

Every shape moves one part and fades out around it, so that local drags are possible: an ear up, the
jaw down, the eyes apart.

The module needs only numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_EAR_ROOT = (0.82, 0.2, 0.15)
_EYE_CENTRE = (0.35, -0.7, 0.24)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Return 0 up to ``low``, 1 from ``high`` on, and a smooth transition between them.

    If ``low`` is larger than ``high``, the function falls from 1 to 0 with a growing value.
    """
    t: Array = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def offsets(coordinates: Array) -> dict[str, Array]:
    """Return the offsets that each factor of shape at 1 adds to the vertices; at -1 the opposite.

    Args:
        coordinates: ``V x 3`` float64, the vertices of Blender's monkey mesh of size 2, which faces
            -y.

    Returns:
        ``V x 3`` float64 for each factor's name, symmetric to the plane x = 0.
    """
    x, y, z = coordinates.T
    side = np.where(x < 0.0, -1.0, 1.0)
    mirrored = np.stack([np.abs(x), y, z], axis=1)
    zero = np.zeros_like(x)

    def moved(weight: Array, dx: Array, dy: Array, dz: Array) -> Array:
        offset: Array = weight[:, None] * np.stack([side * dx, dy, dz], axis=1)
        return offset

    ear = smoothstep(0.72, 0.95, mirrored[:, 0]) * smoothstep(-0.15, 0.15, y)
    from_root = mirrored - _EAR_ROOT
    muzzle = smoothstep(0.0, -0.3, z) * smoothstep(-0.25, -0.65, y)
    muzzle = muzzle * smoothstep(0.75, 0.45, mirrored[:, 0])
    jaw = smoothstep(-0.62, -0.85, z) * smoothstep(-0.1, -0.5, y)
    skull = smoothstep(0.35, 0.95, z) * smoothstep(1.0, 0.7, mirrored[:, 0])
    from_eye = mirrored - _EYE_CENTRE
    eye = smoothstep(0.55, 0.3, np.hypot(from_eye[:, 0], from_eye[:, 2]))
    eye = eye * smoothstep(-0.3, -0.55, y)
    return {
        "ear_size": moved(0.3 * ear, *from_root.T),
        "ear_lift": moved(0.42 * ear, -from_root[:, 2], zero, from_root[:, 0]),
        "muzzle_length": moved(muzzle, zero, zero - 0.22, zero - 0.05),
        "muzzle_width": moved(0.28 * muzzle, mirrored[:, 0], zero, zero),
        "jaw": moved(jaw, zero, zero, zero - 0.13),
        "cranium": moved(skull, 0.1 * mirrored[:, 0], zero, zero + 0.2),
        "eye_size": moved(0.22 * eye, from_eye[:, 0], zero, from_eye[:, 2]),
        "eye_spacing": moved(eye, zero + 0.06, zero, zero),
    }
