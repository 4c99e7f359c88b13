# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a frame of a bake begins: at the latent that the frames before it point to.

Each of the last frames has moved the handles by some way, and for that the latent.  What of these
ways brings the handles to their new targets is a small problem of least squares, and the same part
of the latents' changes brings the latent nearly there, at no cost: the secant method, where a step
of a drag is one of Newton's.  A motion that goes on goes on, one that turns back goes back the way
it has come, one that stops stops.

That nothing but ways that frames have gone is combined keeps the image among those of the frames
before; the handles in it are looked for all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import FloatArray
from .row import SolvedRow

ROWS = 4
"""So many of the last rows are used: three ways, which two handles that go around make full use of;
with five ways the figures are the same."""
_DAMPING_PX = 0.1
"""Ways shorter than this are more of an error, of finding the handles, than a motion."""
_LARGEST = 2.0
"""How often the way of a frame is gone at most."""


def predict(rows: Sequence[SolvedRow], targets_px: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A latent in whose image the handles should be nearly at some targets.

    Args:
        rows: the last ones, two or more.
        targets_px: `P x 2` float32, image pixels.

    Returns:
        The latent, and where the handles should be in its image.
    """
    latents = np.stack([row.latent for row in rows])
    handles_px = np.stack([row.handles_px for row in rows])
    ways = np.diff(handles_px, axis=0).reshape(len(rows) - 1, -1).astype(np.float64)
    wanted = (targets_px - handles_px[-1]).ravel()
    normal = ways @ ways.T + _DAMPING_PX**2 * np.eye(len(ways))
    parts = np.linalg.solve(normal, ways @ wanted)
    parts *= min(1.0, _LARGEST / max(float(np.abs(parts).max()), _LARGEST))
    latent: FloatArray = latents[-1] + _sum(parts, np.diff(latents, axis=0))
    return latent, handles_px[-1] + _sum(parts, np.diff(handles_px, axis=0))


def _sum(parts: FloatArray, changes: FloatArray) -> FloatArray:
    """A part of each of some changes, added up: `T` and `T x …` to `…` float32."""
    total: FloatArray = np.tensordot(parts, changes, 1).astype(np.float32)
    return total
