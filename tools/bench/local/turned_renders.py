# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a part of Suzanne's head turned by a row of angles, for ``turned``.

All vertices under a disc that covers the part are turned as one, in the picture's plane, and the
motion fades out around the disc. The module needs Blender as a module (``bpy``).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.arrays import ByteArray
from tools.suzanne import factors, shapes
from tools.suzanne.scene import SuzanneScene
from tools.suzanne.shapes import smoothstep

from . import parts
from .drags import SIZE_PX, TRUNCATION
from .turned import LADDER, Case

Array = NDArray[np.float64]

# A vertex with at least this weight belongs to the part.
_LEAST_WEIGHT = 0.5
# Less of a part's vertices in sight, and another seed is taken.
_LEAST_SEEN = 0.35
# A disc whose points are as far from its middle, root mean square, as the part's has this radius.
_DISC = math.sqrt(2.0)
# The turn has faded out at this distance from the middle, in radii.
_FADED = 1.5
_BORDER_PX = 4.0


def weights(part: str, coordinates: Array, side: int) -> Array:
    """Return how much each vertex belongs to a part, ``V`` in [0, 1]; see ``parts.weights``."""
    if part == "eye and brow":
        both = [parts.weights(one, coordinates, side) for one in ("eye", "brow")]
        return np.maximum(*both)
    if part == "muzzle":
        both = [parts.weights(one, coordinates, side) for one in ("nose", "mouth")]
        return np.maximum(*both)
    return parts.weights(part, coordinates, side)


class Renders:
    """Renders parts of heads turned."""

    def __init__(self, folder: Path, samples: int) -> None:
        """Set up the scene; ``folder`` is for a file, and ``samples`` are the rays per pixel."""
        self._scene = SuzanneScene(size_px=SIZE_PX, samples=samples)
        self._shapes = shapes.offsets(self._scene.coordinates)
        self._path = folder / "picture.png"

    def case(self, part: str, seed: int) -> Case | None:
        """Return a part of the head of a seed, or None if too little of it is in sight."""
        scene, rest = self._scene, self._scene.coordinates
        values = TRUNCATION * factors.sample_factors(seed, 0)
        scene.apply(values)
        scene.deform(None)
        side = 1 if seed % 2 else -1
        chosen = np.flatnonzero(weights(part, rest, side) > _LEAST_WEIGHT)
        places, visible = scene.places(chosen.tolist())
        inside = ((places > _BORDER_PX) & (places < SIZE_PX - _BORDER_PX)).all()
        if visible.mean() < _LEAST_SEEN or not inside:
            return None
        seen = places[visible].astype(np.float64)
        gaps = np.linalg.norm(seen - (seen.min(axis=0) + seen.max(axis=0)) / 2, axis=1)
        middle = int(chosen[visible][gaps.argmin()])
        handle = seen[gaps.argmin()]
        radius = _DISC * math.sqrt(float(((seen - handle) ** 2).sum(axis=1).mean()))
        by_name = dict(zip(factors.FACTORS, values, strict=True))
        shaped = rest + sum(by_name[name] * offset for name, offset in self._shapes.items())
        everything, _ = scene.places(None)
        gaps = np.linalg.norm(everything[: len(rest)] - handle, axis=1)
        turned = smoothstep(_FADED * radius, radius, gaps)
        renders = []
        for degrees in LADDER:
            linear = self._turn(side * math.radians(degrees))
            scene.deform(turned[:, None] * ((shaped - shaped[middle]) @ (linear - np.eye(3)).T))
            renders.append(self._render())
        return Case(part, values, side, handle, radius, np.stack(renders))

    def _turn(self, angle: float) -> Array:
        """Return a rotation in the mesh's space that the picture shows, counter-clockwise."""
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        rotation = self._scene.rotation
        found: Array = rotation.T @ turn @ rotation
        return found

    def _render(self) -> ByteArray:
        self._scene.render(self._path)
        with Image.open(self._path) as image:
            return np.asarray(image.convert("RGB"))
