# SPDX-License-Identifier: GPL-3.0-or-later
"""Descends a loss with Adam: the part that all methods with a scalar loss share.

It combines a latent space with the optimiser, so that each of these methods works in each space.
"""

from __future__ import annotations

from torch import Tensor

from ...features.source import FeatureView
from ..latent_space import latent_space
from .adam import Adam
from .base import DragProblem


class Descent:
    """The latent of one drag and its optimiser."""

    def __init__(self, problem: DragProblem, mask_share: float = 1.0) -> None:
        """Set the latent to the start of the drag.

        Args:
            problem: The drag; its options give the latent space, step size and mask weight.
            mask_share: The method's factor on the option ``mask_weight``.
        """
        options = problem.options
        self._mask_weight = mask_share * options.mask_weight
        self._space = latent_space(
            options.latent_space,
            problem.generator,
            problem.start,
            problem.num_layers,
            locked=problem.locked,
        )
        self._adam = Adam(self._space.coordinates, options.step_size / self._space.unit)

    def latent(self) -> Tensor:
        """Return the current latent, ``num_ws x w_dim`` float32, with a gradient."""
        return self._space.latent()

    def restraint(self, view: FeatureView) -> Tensor:
        """Return the mask's term of the loss: the weighted change in the fixed area.

        Args:
            view: The features of the current latent.

        Returns:
            A scalar with a gradient to the latent.
        """
        return self._mask_weight * view.fixed_change()

    def step(self, loss: Tensor) -> None:
        """Make one step of Adam.

        Args:
            loss: A scalar with a gradient to the last ``latent``.
        """
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()
