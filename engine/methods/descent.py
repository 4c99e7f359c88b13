# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a latent down a loss with Adam: what all methods with a scalar loss have in common.

Here a latent space, the optimiser and the schedule of its steps come together, so that each method
works in each space.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..adam import Adam
from ..feature_source import FeatureView
from ..latent_space import latent_space
from .base import DragProblem

_SLOW_WITHIN = 4.0
_SLOWEST = 0.2
"""The `distance` schedule: within so many feature pixels the step shrinks with what is left of the
way, down to this part of the full step."""


class Descent:
    """The latent of one drag, and the way it goes."""

    def __init__(self, problem: DragProblem, mask_share: float = 1.0) -> None:
        """Begin at the start of the drag.

        Args:
            mask_share: how much of the option `mask_weight` the method takes.
        """
        options = problem.options
        self._problem = problem
        self._mask_weight = mask_share * options.mask_weight
        self._space = latent_space(
            options.latent_space, problem.generator, problem.start, problem.layers
        )
        self._adam = Adam(self._space.coordinates, options.step_size / self._space.unit)

    def latent(self) -> Tensor:
        """The latent now, `num_ws x w_dim` float32, with gradient to what is optimised."""
        return self._space.latent()

    def restraint(self, view: FeatureView) -> Tensor:
        """What holds a drag back, a scalar with gradient, to be added to a method's own loss.

        The weighted change in the fixed area and, if wanted, the distance from the start within W.
        """
        options = self._problem.options
        loss = self._mask_weight * view.fixed_change()
        if options.mahalanobis_weight:
            loss = loss + options.mahalanobis_weight * self._space.mahalanobis()
        return loss

    def step(self, loss: Tensor, handles: Tensor) -> None:
        """One step of Adam.

        Args:
            loss: a scalar with gradient to the last `latent`.
            handles: `P x 2` feature positions, from which the schedule takes the rest of the way.
        """
        loss.backward()  # type: ignore[no-untyped-call]
        scale: Tensor | float = 1.0
        if self._problem.options.step_schedule == "distance":
            scale = slowed(handles, self._problem.targets)
        self._adam.step(scale)


def slowed(handles: Tensor, targets: Tensor) -> Tensor:
    """The part of the full step that the `distance` schedule makes, a scalar up to 1.

    By the farthest handle: those that have arrived are held by their own losses.

    Args:
        handles: `P x 2` feature positions.
        targets: the same.
    """
    farthest = (targets - handles).norm(dim=1).max()
    return torch.clamp(farthest / _SLOW_WITHIN, _SLOWEST, 1.0)
