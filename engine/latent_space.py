# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag may change: free coordinates, and the latent that they stand for.

A method that descends a loss moves `coordinates`; which numbers these are, is decided here alone:

- ``w+``: the change of each layer's w by itself (Pan et al., "Drag Your GAN", section 3.2).
- ``w``: one change for all layers.
- ``principal``: the change of each layer's w in standard deviations along the principal components
  of W, `w_l = w0_l + sum_j c_lj sigma_j u_j`.  What no random image has, cannot be reached.
- ``principal-w``: the same, but one change for all layers.

In each of them coordinates of zero are the start itself, to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylegan2 import Generator

from .principal import principal_components


class LatentSpace:
    """The free coordinates of one drag, zero at its start."""

    def __init__(self, start: Tensor, layers: int, rows: int, basis: Tensor | None = None) -> None:
        """Begin at the start.

        Args:
            start: `num_ws x w_dim` float32.
            layers: how many of its first rows may change.
            rows: `layers`, or 1 for one change that all of them share.
            basis: `K x w_dim`, what one unit of each coordinate adds to a w, or None for the
                entries of w themselves.
        """
        self._start = start
        self._layers = layers
        self._basis = basis
        width = start.shape[1] if basis is None else len(basis)
        self._coordinates = start.new_zeros(rows, width).requires_grad_()
        self._unit = 1.0
        if basis is not None:
            self._unit = float((basis.square().sum() / start.shape[1]).sqrt())

    @property
    def coordinates(self) -> Tensor:
        """The leaf to optimise, `rows x K` float32; changed in place."""
        return self._coordinates

    @property
    def unit(self) -> float:
        """How far an entry of w moves, root mean square, if every coordinate moves by one.

        A step size divided by this means the same in each space.
        """
        return self._unit

    def latent(self) -> Tensor:
        """The latent now, `num_ws x w_dim`, with gradient to the coordinates."""
        change = self.change_of_w(self._coordinates)
        return torch.cat([self._start[: self._layers] + change, self._start[self._layers :]])

    def change_of_w(self, change: Tensor) -> Tensor:
        """What a change of the coordinates, `rows x K`, does to each w: `rows x w_dim`."""
        return change if self._basis is None else change @ self._basis

    def mahalanobis(self) -> Tensor:
        """Squared Mahalanobis distance of a layer's w from where it began, mean over the layers.

        A scalar with gradient to the coordinates; true in the principal spaces only, where the
        coordinates are whitened.
        """
        return self._coordinates.square().sum(dim=1).mean()


def latent_space(name: str, generator: Generator, start: Tensor, layers: int) -> LatentSpace:
    """The space of a name of `drag_options.LATENT_SPACES`.

    Args:
        start: `num_ws x w_dim` float32 on the generator's device.
        layers: how many of its first rows may change, at most `num_ws`.
    """
    basis = principal_components(generator).scaled() if name.startswith("principal") else None
    return LatentSpace(start, layers, 1 if name in ("w", "principal-w") else layers, basis)
