# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam for the single small tensor that a drag optimises.

``torch.optim`` computes the same, but its first step imports torch's compiler. That takes more than
a second before the first preview, and leaves a folder in the system's temporary directory.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Adam:
    """The optimiser of Kingma and Ba, "Adam: A Method for Stochastic Optimization", algorithm 1."""

    def __init__(
        self,
        parameter: Tensor,
        step_size: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        """Set the moments to zero.

        Args:
            parameter: A leaf tensor that requires a gradient; it is changed in place.
            step_size: The learning rate.
            betas: The decay rates of the first and second moment.
            epsilon: Added to the root of the second moment.
        """
        self._parameter = parameter
        self._step_size = step_size
        self._betas = betas
        self._epsilon = epsilon
        self._mean = torch.zeros_like(parameter, requires_grad=False)
        self._square = torch.zeros_like(parameter, requires_grad=False)
        self._steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameter by its gradient, and clear the gradient."""
        gradient = self._parameter.grad
        assert gradient is not None, "backward comes before step"
        self._steps += 1
        first, second = self._betas
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = (self._square / (1 - second**self._steps)).sqrt_().add_(self._epsilon)
        rate = self._step_size / (1 - first**self._steps)
        self._parameter.addcdiv_(self._mean, spread, value=-rate)
        self._parameter.grad = None
