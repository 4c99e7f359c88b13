# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent that least-squares steps start from, and what was computed there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepBase:
    """A latent that steps start from, and what was computed there.

    Attributes:
        coordinates: ``rows x K`` float32.
        handles: ``P x 2`` feature positions.
        references: ``P x Q x C`` float32, the features by which the handles are found after a step
            from here.
        jacobian: ``2 P x N`` float32, the derivatives of the handles' positions with respect to the
            coordinates; N is ``rows * K``.
        looks: ``2 P x N`` float32, the derivatives of the numbers of ``looks``; None if these do
            not count.
        changed: ``2 P``, the numbers.
        difference: The change of the fixed area, see ``FeatureView.fixed_difference``.
    """

    coordinates: Tensor
    handles: Tensor
    references: Tensor
    jacobian: Tensor
    looks: Tensor | None
    changed: Tensor | None
    difference: Tensor | None

    def unless(self, improved: Tensor, best: StepBase | None) -> StepBase:
        """Return this base if it has improved, else the best one; decided on the device."""
        if best is None:
            return self

        def chosen(mine: Tensor | None, other: Tensor | None) -> Tensor | None:
            if mine is None or other is None:
                return mine
            return torch.where(improved, mine, other)

        return StepBase(
            torch.where(improved, self.coordinates, best.coordinates),
            torch.where(improved, self.handles, best.handles),
            torch.where(improved, self.references, best.references),
            torch.where(improved, self.jacobian, best.jacobian),
            chosen(self.looks, best.looks),
            chosen(self.changed, best.changed),
            chosen(self.difference, best.difference),
        )
