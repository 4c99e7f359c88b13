# SPDX-License-Identifier: GPL-3.0-or-later
"""One solved frame of a bake: all that the next frame needs, and what is told about it."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import FloatArray
from ..solving.result import DragStatus


@dataclass(frozen=True, kw_only=True)
class SolvedRow:
    """A frame's result.

    Attributes:
        latent: `num_ws x w_dim` float32, before any smoothing.
        handles_px: `P x 2` float32, image pixels.
        distance_px: the farthest handle's distance to its target.
        loss: of the frame's last step; of one without a step, of the last one before.
        steps: how many were made for it.
        status: how its drag has ended.
    """

    latent: FloatArray
    handles_px: FloatArray
    distance_px: float
    loss: float
    steps: int
    status: DragStatus
