# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a latent down a loss with Adam: what all methods with a scalar loss have in common.

Here a latent space and the optimiser come together, so that each method works in each space.
"""

from __future__ import annotations

from torch import Tensor

from ...features.source import FeatureView
from ..latent_space import latent_space
from .adam import Adam
from .base import DragProblem


class Descent:
    """The latent of one drag, and the way it goes."""

    def __init__(self, problem: DragProblem, mask_share: float = 1.0) -> None:
        """Begin at the start of the drag.

        Args:
            mask_share: how much of the option `mask_weight` the method takes.
        """
        options = problem.options
        self._mask_weight = mask_share * options.mask_weight
        self._space = latent_space(
            options.latent_space, problem.generator, problem.start, problem.layers
        )
        self._adam = Adam(self._space.coordinates, options.step_size / self._space.unit)

    def latent(self) -> Tensor:
        """The latent now, `num_ws x w_dim` float32, with gradient to what is optimised."""
        return self._space.latent()

    def restraint(self, view: FeatureView) -> Tensor:
        """The weighted change in the fixed area, a scalar with gradient, for a method's loss."""
        return self._mask_weight * view.fixed_change()

    def step(self, loss: Tensor) -> None:
        """One step of Adam down a loss, a scalar with gradient to the last `latent`."""
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()
