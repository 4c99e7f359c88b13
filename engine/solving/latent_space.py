# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag may change: free coordinates, and the latent that they stand for.

A method that descends a loss moves `coordinates`; which numbers these are, is decided here alone:

- ``w+``: the change of each layer's w by itself (Pan et al., "Drag Your GAN", section 3.2).
- ``w``: one change for all layers.
- ``principal``: standard deviations along the principal components of W, one change for all
  layers and a smaller one for each, `w_l = w0_l + sum_j (c_0j + s c_lj) sigma_j u_j`.  What no
  random image has, cannot be reached, and layers that need not disagree do not: images from a
  single w are what the generator was trained to make.

In each of them coordinates of zero are the start itself, to the bit.  A drag that goes on from
where another has ended also has an *origin*, the latent of the image before all of them; how far it
has come from there is said in the same coordinates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylegan2 import Generator

from .principal import principal_components

LOOSENESS = 0.3
"""How far a layer's w goes its own way in the space ``principal``, as a share of the common way."""


class LatentSpace:
    """The free coordinates of one drag, zero at its start."""

    def __init__(
        self,
        start: Tensor,
        mixing: Tensor,
        basis: Tensor | None = None,
        origin: Tensor | None = None,
    ) -> None:
        """Begin at the start.

        Args:
            start: `num_ws x w_dim` float32.
            mixing: `L x rows`, how much each of the first L layers takes of each row of
                coordinates.
            basis: `K x w_dim`, what one unit of each coordinate adds to a w, orthogonal to what the
                others add, or None for the entries of w themselves.
            origin: `num_ws x w_dim` float32, see `from_origin`; None for the start.
        """
        self._start = start
        self._mixing = mixing
        self._basis = basis
        width = start.shape[1] if basis is None else len(basis)
        self._coordinates = start.new_zeros(mixing.shape[1], width).requires_grad_()
        self._unit = 1.0
        if basis is not None:
            self._unit = float((basis.square().sum() / start.shape[1]).sqrt())
        self._before = torch.zeros_like(self._coordinates, requires_grad=False)
        if origin is not None:
            self._before = self._least_coordinates(start - origin)

    @property
    def coordinates(self) -> Tensor:
        """The leaf to optimise, `rows x K` float32; changed in place."""
        return self._coordinates

    def from_origin(self, coordinates: Tensor) -> Tensor:
        """Coordinates `rows x K`, which are counted from the start, counted from the origin.

        Of all coordinates that stand for the way from the origin to the start, the least count;
        what of it no coordinates stand for, is left out.
        """
        return self._before + coordinates

    @property
    def unit(self) -> float:
        """How far an entry of w moves, root mean square, if each entry of one row moves by one.

        A step size divided by this means the same in each space.
        """
        return self._unit

    def latent(self) -> Tensor:
        """The latent now, `num_ws x w_dim`, with gradient to the coordinates."""
        change = self.change_of_w(self._coordinates)
        layers = len(change)
        return torch.cat([self._start[:layers] + change, self._start[layers:]])

    def change_of_w(self, change: Tensor) -> Tensor:
        """What a change of the coordinates, `rows x K`, does to each layer's w: `L x w_dim`."""
        return self._mixing @ (change if self._basis is None else change @ self._basis)

    def pull_back(self, of_latent: Tensor) -> Tensor:
        """Derivatives with respect to the coordinates.

        Args:
            of_latent: `… x L' x w_dim`, with respect to the first rows of the latent; of more rows
                than vary, the first count, and of fewer the others are zero.

        Returns:
            `… x rows K`, flat as `coordinates.flatten()`.
        """
        layers = min(of_latent.shape[-2], len(self._mixing))
        rows = self._mixing[:layers].T @ of_latent[..., :layers, :]
        if self._basis is not None:
            rows = rows @ self._basis.T
        return rows.flatten(-2)

    def _least_coordinates(self, change: Tensor) -> Tensor:
        """The least coordinates that come nearest to a change of the latent, `num_ws x w_dim`."""
        # A matrix of a few numbers, which not every device can decompose.
        mixing = torch.linalg.pinv(self._mixing.cpu()).to(change)
        rows: Tensor = mixing @ change[: len(self._mixing)]
        if self._basis is not None:
            rows = rows @ self._basis.T / self._basis.square().sum(dim=1)
        return rows


def latent_space(
    name: str,
    generator: Generator,
    start: Tensor,
    layers: int,
    origin: Tensor | None = None,
) -> LatentSpace:
    """The space of a name of `drag_options.LATENT_SPACES`.

    Args:
        start: `num_ws x w_dim` float32 on the generator's device.
        layers: how many of its first rows may change, at most `num_ws`.
        origin: as the start, see `LatentSpace`.
    """
    together = start.new_ones(layers, 1)
    each = torch.eye(layers, device=start.device)
    if name == "w+":
        return LatentSpace(start, each, origin=origin)
    if name == "w":
        return LatentSpace(start, together, origin=origin)
    basis = principal_components(generator).scaled()
    return LatentSpace(start, torch.cat([together, LOOSENESS * each], dim=1), basis, origin)
