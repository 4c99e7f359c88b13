# SPDX-License-Identifier: GPL-3.0-or-later
"""The markings painted on the monkey, so that its parts can be distinguished and tracked.

A marking is an ellipsoid in the mesh's rest space (before shape keys, mirrored to positive x). The
surface inside takes part of its colour, in every shape and pose. A point can be tracked only where
the picture has visible detail; without paint, the crown and the chin are silhouettes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Marking:
    """One ellipsoid of paint.

    Attributes:
        centre: ``(x, y, z)`` in rest space, x >= 0.
        radii: Radii along the three axes.
        rgb: Linear colour, each in [0, 1].
        share: Opacity of the paint, in [0, 1].
        softness: Width of the edge as a share of the radius.
        outside: Whether the outside of the ellipsoid is painted instead of the inside.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    rgb: tuple[float, float, float]
    share: float
    softness: float = 0.15
    outside: bool = False


_WHITE = (1.0, 1.0, 1.0)
_BLACK = (0.01, 0.01, 0.01)
_PINK = (0.80, 0.42, 0.36)

FUR = (
    # A pale face: around the eyes, and the muzzle.
    Marking((0.33, -0.75, 0.22), (0.34, 0.4, 0.34), _WHITE, 0.3, 0.2),
    Marking((0.0, -0.75, -0.6), (0.62, 0.45, 0.52), _WHITE, 0.5, 0.15),
    # Pink inside the ears, with a dark hollow.
    Marking((1.04, 0.35, 0.2), (0.24, 0.2, 0.22), _PINK, 0.75, 0.2),
    Marking((1.05, 0.38, 0.19), (0.09, 0.3, 0.09), _BLACK, 0.8, 0.35),
    # Brows, nose with nostrils, mouth, a small beard.
    Marking((0.34, -0.85, 0.6), (0.22, 0.25, 0.05), _BLACK, 0.75, 0.3),
    Marking((0.0, -0.8, -0.26), (0.17, 0.14, 0.1), _BLACK, 0.7, 0.25),
    Marking((0.1, -0.83, -0.25), (0.04, 0.15, 0.045), _BLACK, 0.95, 0.4),
    Marking((0.0, -0.75, -0.72), (0.3, 0.3, 0.022), _BLACK, 0.85, 0.8),
    Marking((0.0, -0.68, -0.9), (0.1, 0.2, 0.07), _BLACK, 0.8, 0.35),
    # A dark crest from the crown to the neck.
    Marking((0.0, -0.29, 0.9), (0.12, 0.12, 0.3), _BLACK, 0.8, 0.3),
    Marking((0.0, 0.3, 0.9), (0.07, 0.6, 0.3), _BLACK, 0.7, 0.3),
)
EYE = (
    # The white around the iris, whose colour is that of the eye; then the pupil.
    Marking((0.35, -0.83, 0.24), (0.155, 0.5, 0.155), _WHITE, 0.95, 0.12, outside=True),
    Marking((0.35, -0.83, 0.24), (0.075, 0.5, 0.075), _BLACK, 1.0, 0.2),
)
