# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent spaces of a drag: the free coordinates, and the latent that they stand for.

A method changes the coordinates. What they mean is defined only here:

- ``w+``: each layer's w changes separately (Pan et al., "Drag Your GAN", section 3.2).
- ``w``: all layers change by the same amount.
- ``principal``: coordinates are standard deviations along the principal components of W, with one
  change common to all layers and a smaller one for each layer,
  ``w_l = w0_l + sum_j (c_0j + s c_lj) sigma_j u_j``. The latent then moves only in directions in
  which random images differ, and the layers differ from each other only where they have to: the
  generator was trained on images of a single w.
- ``automatic`` and ``by_hand`` price changes along the same components (see ``freedom``). Their
  coordinates are the same as well where it is known what the mapping network can make (see
  ``manifold.finds_outputs``). Elsewhere all components count alike: drags along the widest ones
  would change the whole image, and a standard deviation of a narrow one is no limit.

In each space, coordinates of zero are exactly the start of the drag. A drag that continues an
earlier one also has an *origin*: the latent of the image before the first of these drags. The
change since the origin is expressed in the same coordinates.

A space may have a *lock* (see ``lock``): coordinates outside of it then change nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stylegan2 import Generator

from .freedom import SPACES_WITH_FREEDOM
from .lock import Lock, Locked, covectors
from .manifold import finds_outputs
from .principal import principal_components

# The scale ``s`` of a layer's own change relative to the common change in the space ``principal``.
LOOSENESS = 0.3


class LatentSpace:
    """The free coordinates of one drag, zero at its start."""

    def __init__(
        self,
        start: Tensor,
        mixing: Tensor,
        basis: Tensor | None = None,
        origin: Tensor | None = None,
    ) -> None:
        """Set the coordinates to zero.

        Args:
            start: ``num_ws x w_dim`` float32.
            mixing: ``num_layers x rows``, how much of each row of coordinates is added to each
                of the first ``num_layers`` w vectors.
            basis: ``K x w_dim``, the change of w per unit of each coordinate, with orthogonal rows.
                None if the coordinates are the entries of w themselves.
            origin: ``num_ws x w_dim`` float32, see ``from_origin``; None for the start.
        """
        self._start = start
        self._mixing = mixing
        self._basis = basis
        width = start.shape[1] if basis is None else len(basis)
        self._coordinates = start.new_zeros(mixing.shape[1], width).requires_grad_()
        self._unit = 1.0
        if basis is not None:
            self._unit = float((basis.square().sum() / start.shape[1]).sqrt())
        self._lock: Lock | None = None
        self._before = torch.zeros_like(self._coordinates, requires_grad=False)
        if origin is not None:
            self._before = self._least_coordinates(start - origin)

    @property
    def coordinates(self) -> Tensor:
        """The leaf tensor to optimise, ``rows x K`` float32; change it in place."""
        return self._coordinates

    def from_origin(self, coordinates: Tensor) -> Tensor:
        """Return coordinates relative to the origin instead of the start.

        The change from the origin to the start is expressed by the coordinates of the least norm
        that come closest to it. The part of the change that is outside the space is left out.

        Args:
            coordinates: ``rows x K``, relative to the start.

        Returns:
            ``rows x K``.
        """
        return self._left(self._before + coordinates)

    @property
    def lock(self) -> Lock | None:
        """What changes of the coordinates are left; None for all."""
        return self._lock

    def restrict(self, kept: Tensor, along: Tensor) -> None:
        """Keep the latent out of directions, or hold it to some.

        Args:
            kept: ``D x num_layers x w_dim``: the product of each with the change of the latent
                stays zero. May be empty.
            along: ``E x num_ws x w_dim``: the latent changes along these only. Empty for no limit.
        """
        rows = self.pull_back(kept)
        limits = None
        if len(along):
            limits = torch.stack([self._least_coordinates(one).flatten() for one in along])
        self._lock = Lock.of(rows, limits)

    @property
    def unit(self) -> float:
        """The root mean square change of w's entries if each coordinate of a row changes by 1.

        A step size divided by this has the same effect in each space.
        """
        return self._unit

    @property
    def basis(self) -> Tensor | None:
        """The change of w per unit of each coordinate, ``K x w_dim``; see ``__init__``."""
        return self._basis

    @property
    def mixing(self) -> Tensor:
        """How much of each row of coordinates is added to each layer, ``num_layers x rows``."""
        return self._mixing

    def latent(self) -> Tensor:
        """Return the current latent, ``num_ws x w_dim``, with a gradient to the coordinates."""
        return self.latent_at(self._coordinates)

    def latent_at(self, coordinates: Tensor) -> Tensor:
        """Return the latent of coordinates, ``rows x K``, of size ``num_ws x w_dim``."""
        change = self.change_of_w(coordinates)
        num_layers = len(change)
        return torch.cat([self._start[:num_layers] + change, self._start[num_layers:]])

    def change_of_w(self, change: Tensor) -> Tensor:
        """Return the change of each w that a change of the coordinates causes.

        Args:
            change: ``rows x K``.

        Returns:
            ``num_layers x w_dim``.
        """
        change = self._left(change)
        return self._mixing @ (change if self._basis is None else change @ self._basis)

    def _left(self, change: Tensor) -> Tensor:
        """Return the part of a change of the coordinates, ``rows x K``, that the lock leaves."""
        if self._lock is None:
            return change
        return self._lock.project(change.flatten()).reshape(change.shape)

    def pull_back(self, of_latent: Tensor) -> Tensor:
        """Convert derivatives with respect to the latent to the coordinates.

        Args:
            of_latent: ``... x L x w_dim``, derivatives with respect to the first L w vectors.
                Those beyond ``num_layers`` are ignored; if L is smaller, the missing ones count as
                zero.

        Returns:
            ``... x (rows K)``, in the order of ``coordinates.flatten()``.
        """
        count = min(of_latent.shape[-2], len(self._mixing))
        rows = self._mixing[:count].T @ of_latent[..., :count, :]
        if self._basis is not None:
            rows = rows @ self._basis.T
        rows = rows.flatten(-2)
        return rows if self._lock is None else self._lock.project(rows)

    def _least_coordinates(self, change: Tensor) -> Tensor:
        """Return the coordinates of the least norm that come closest to a change of the latent.

        Args:
            change: ``num_ws x w_dim``.
        """
        # On the CPU: not every device can decompose a matrix, and this one is small.
        mixing = torch.linalg.pinv(self._mixing.cpu()).to(change)
        rows: Tensor = mixing @ change[: len(self._mixing)]
        if self._basis is not None:
            rows = rows @ self._basis.T / self._basis.square().sum(dim=1)
        return rows


def latent_space(
    name: str,
    generator: Generator,
    start: Tensor,
    num_layers: int,
    origin: Tensor | None = None,
    locked: Locked | None = None,
) -> LatentSpace:
    """Return a latent space by its name.

    Args:
        name: A value of the option ``latent_space``.
        generator: The generator whose W the principal components are computed of.
        start: ``num_ws x w_dim`` float32 on the generator's device.
        num_layers: How many of the first w vectors may change, at most ``num_ws``.
        origin: ``num_ws x w_dim`` float32, see ``LatentSpace``; None for the start.
        locked: Directions that the latent must not change along, or only along; None for neither.
    """
    space = _free_space(name, generator, start, num_layers, origin)
    if locked is not None and not locked.is_empty:
        kept = start.new_zeros(0, num_layers, start.shape[1])
        if len(locked.kept):
            kept = covectors(locked.kept, principal_components(generator), num_layers)
        space.restrict(kept, torch.from_numpy(locked.along).to(start))
    return space


def priced_basis(generator: Generator, between: Callable[[], None] = lambda: None) -> Tensor:
    """Return the basis of the spaces ``automatic`` and ``by_hand``, ``K x w_dim``.

    Args:
        generator: The generator.
        between: Called between parts of the computation; it may raise to end it.
    """
    components = principal_components(generator)
    return components.scaled() if finds_outputs(generator, between) else components.alike()


def _free_space(
    name: str, generator: Generator, start: Tensor, num_layers: int, origin: Tensor | None
) -> LatentSpace:
    together = start.new_ones(num_layers, 1)
    each = torch.eye(num_layers, device=start.device)
    if name == "w+":
        return LatentSpace(start, each, origin=origin)
    if name == "w":
        return LatentSpace(start, together, origin=origin)
    if name in SPACES_WITH_FREEDOM:
        basis = priced_basis(generator)
    else:
        basis = principal_components(generator).scaled()
    return LatentSpace(start, torch.cat([together, LOOSENESS * each], dim=1), basis, origin)
