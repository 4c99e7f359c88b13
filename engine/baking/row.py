# SPDX-License-Identifier: GPL-3.0-or-later
"""One solved frame of a bake: what the next frame needs, and what is reported about it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..arrays import FloatArray
from ..solving.result import DragStatus


@dataclass(frozen=True, kw_only=True)
class SolvedRow:
    """The result of one frame.

    Attributes:
        latent: ``num_ws x w_dim`` float32, before any smoothing.
        handles_px: ``P x 2`` float32, image pixels.
        distance_px: The farthest handle's distance to its target, image pixels.
        loss: The loss of the frame's last step, or of the last step before it if it has none.
        steps: How many steps were made for the frame.
        status: How the frame's drag ended.
        turns: ``P x 2`` float32, ``z`` of each pair, see ``solving.regions``; 1 and 0 for a plain
            handle. ``0 x 2`` if the edit has no regions.
    """

    latent: FloatArray
    handles_px: FloatArray
    distance_px: float
    loss: float
    steps: int
    status: DragStatus
    turns: FloatArray = field(default_factory=lambda: np.empty((0, 2), np.float32))
