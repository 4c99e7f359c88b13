# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost of changes of single layers: those in which images differ are cheaper.

Inside an exact mask every layer changes on its own, in all entries of its w: a change that is
common to all layers would change more than the part, and the part would no longer meet what is
around it. But most entries say little about what the model has learned. With the covariance C of W,
divided by the mean of its diagonal, a change x of a layer's w costs ``x^T (b C + (1 - b) I)^-1 x``.
With ``b = 0`` all directions are alike, and handles are moved by some that smear what they hold;
with ``b = 1`` only the principal components are left, and what no image shows cannot be made.
"""

from __future__ import annotations

from torch import Tensor

from .principal import PrincipalComponents

# b; see docs/methods.md.
_TYPICAL = 0.5


class LayerCost:
    """The cost of changes of L layers, ``L x w_dim`` coordinates; see ``cost.Cost``."""

    def __init__(self, components: PrincipalComponents, layers: int) -> None:
        """Compute what is needed to multiply by G and by its inverse.

        Args:
            components: Those of the model; other directions have no variance.
            layers: L.
        """
        self._directions, self._layers = components.directions, layers
        rest = 1 - _TYPICAL
        # The inverse of the cost along each direction, beside that of all others.
        widths = _TYPICAL * (components.sigmas / components.spread()).square()
        self._rest = rest
        self._cheaper = widths
        self._saved = 1 / (widths + rest) - 1 / rest

    def apply(self, change: Tensor) -> Tensor:
        """Return ``G x`` for x of size ``... x (L w_dim)``."""
        return change / self._rest + self._along(change, self._saved)

    def invert(self, change: Tensor) -> Tensor:
        """Return ``G^-1 x`` for x of size ``... x (L w_dim)``."""
        return change * self._rest + self._along(change, self._cheaper)

    def _along(self, change: Tensor, factors: Tensor) -> Tensor:
        """Return the parts of each layer along the components, each times a factor, ``K``."""
        rows = change.reshape(*change.shape[:-1], self._layers, -1)
        parts = (rows @ self._directions.T * factors) @ self._directions
        return parts.reshape(change.shape)
