# SPDX-License-Identifier: GPL-3.0-or-later
"""Predicts the latent of the next frame of a bake from the frames before it.

Each of the last frames moved the handles by some displacement, and changed the latent to do so. A
small least-squares problem finds the combination of these displacements that brings the handles to
their new targets. The same combination of the latents' changes brings the latent nearly there at
no cost. (This is the secant method, as a step of a drag is one of Newton's method.) A motion that
continues is continued, one that reverses goes back the way it came, and one that stops stops.

Only changes that earlier frames made are combined, so the image stays close to those of the frames
before. The handles are searched in the predicted image all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..arrays import FloatArray

# How many of the last rows are used. Four rows give three displacements, which two handles that
# move in circles make full use of; five displacements gave the same measurements.
ROWS = 4
# Displacements shorter than this are mostly errors of finding the handles, not motion.
_DAMPING_PX = 0.1
# The largest factor for the displacement of one frame.
_LARGEST = 2.0


def predict(
    latents: Sequence[FloatArray], points_px: Sequence[FloatArray], targets_px: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return a latent in whose image the handles should be near their targets.

    Args:
        latents: The latents of the last rows, oldest first, at least two, each ``num_ws x w_dim``
            float32.
        points_px: Where the handles are in their images, and the points of regions, see ``poses``;
            each ``K x 2`` float32, image pixels.
        targets_px: ``K x 2`` float32, where these points should be, image pixels.

    Returns:
        The latent, ``num_ws x w_dim`` float32, and where the points should be in its image,
        ``K x 2`` float32, image pixels.
    """
    moves = np.diff(points_px, axis=0).reshape(len(latents) - 1, -1).astype(np.float64)
    wanted = (targets_px - points_px[-1]).ravel()
    normal = moves @ moves.T + _DAMPING_PX**2 * np.eye(len(moves))
    parts = np.linalg.solve(normal, moves @ wanted)
    parts *= min(1.0, _LARGEST / max(float(np.abs(parts).max()), _LARGEST))
    latent: FloatArray = latents[-1] + _sum(parts, np.diff(latents, axis=0))
    return latent, points_px[-1] + _sum(parts, np.diff(points_px, axis=0))


def _sum(parts: npt.NDArray[np.float64], changes: FloatArray) -> FloatArray:
    """Return the sum of changes, ``T x ...``, each times its part, ``T``, as float32."""
    total: FloatArray = np.tensordot(parts, changes, 1).astype(np.float32)
    return total
