# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions that a drag is kept out of, or held to.

A *lock* is the linear space of the changes of coordinates that are left. A direction that is locked
leaves the changes orthogonal to it, in each of its layers, where lengths are standard deviations of
W: to first order, what the direction controls then stays as it is. A drag that is held to some
directions has only their strengths left. Both at once leave what both allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..arrays import FloatArray
from .cost import Cost
from .principal import PrincipalComponents

# Vectors that add less than this share of the longest to a space are rounding.
_NEW = 1e-5

_NONE = np.empty((0, 1, 1), np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Locked:
    """The directions of a drag that are locked, and those that it is held to.

    Attributes:
        kept: ``D x num_ws x w_dim`` float32, what the drag must not do; may be empty.
        along: ``E x num_ws x w_dim`` float32, what it may do; empty for everything.
    """

    kept: FloatArray = field(default_factory=lambda: _NONE)
    along: FloatArray = field(default_factory=lambda: _NONE)

    @property
    def is_empty(self) -> bool:
        """Whether the drag is free."""
        return not len(self.kept) and not len(self.along)


class Lock:
    """The space of the changes of N coordinates that are left."""

    def __init__(self, vectors: Tensor, *, is_along: bool) -> None:
        """Find the space.

        Args:
            vectors: ``M x N`` float32, of any lengths.
            is_along: Whether the space is what the vectors span, and not what is orthogonal to it.
        """
        self._basis = _span(vectors)
        self._is_along = is_along

    @classmethod
    def of(cls, kept: Tensor, along: Tensor | None) -> Lock:
        """Return what is orthogonal to all of ``kept`` and, if it is given, spanned by ``along``.

        Args:
            kept: ``D x N`` float32.
            along: ``E x N`` float32, or None.
        """
        if along is None:
            return cls(kept, is_along=False)
        span = _span(along)
        inside = _span(kept @ span.T)
        # What the span has beside the kept vectors.
        one = torch.eye(len(span), device=span.device)
        return cls(_span(one - inside.T @ inside) @ span, is_along=True)

    def project(self, change: Tensor) -> Tensor:
        """Return the part of changes, ``... x N``, that is in the space."""
        part = change @ self._basis.T @ self._basis
        return part if self._is_along else change - part

    def metric(self, cost: Cost) -> LockedMetric:
        """Return a metric in the space."""
        return LockedMetric(cost, self._basis, is_along=self._is_along)


class LockedMetric:
    """A cost of changes, of which only those in the space of a lock are made."""

    def __init__(self, cost: Cost, basis: Tensor, *, is_along: bool) -> None:
        """Compute what is needed to find the cheapest changes.

        Args:
            cost: G, see ``cost``.
            basis: ``M x N``, orthonormal rows.
            is_along: See ``Lock``.
        """
        self._cost, self._basis, self._is_along = cost, basis, is_along
        image = cost.apply(basis) if is_along else cost.invert(basis)
        self._image = image
        self._solved: Tensor = torch.linalg.solve_ex(
            image @ basis.T, basis if is_along else image
        ).result

    def apply(self, change: Tensor) -> Tensor:
        """Return ``G x`` for x of size ``... x N``, a change in the space."""
        return self._cost.apply(change)

    def invert(self, change: Tensor) -> Tensor:
        """Return the cheapest change in the space whose ``G x`` has the products of ``change``.

        For every z in the space, ``z . G x`` is ``z . change``.

        Args:
            change: ``... x N``.
        """
        if self._is_along:
            return (change @ self._basis.T) @ self._solved
        cheapest = self._cost.invert(change)
        return cheapest - (cheapest @ self._basis.T) @ self._solved


def covectors(changes: FloatArray, components: PrincipalComponents, num_layers: int) -> Tensor:
    """Return for each layer of each direction what a change must be orthogonal to.

    Args:
        changes: ``D x num_ws x w_dim`` float32.
        components: Those of the model.
        num_layers: How many of the first layers a drag changes.

    Returns:
        ``(D num_layers) x num_layers x w_dim`` float32, each for one layer. Their product with a
        change of the latent is the product of direction and change in standard deviations.
    """
    lengths = components.sigmas.square()
    units = torch.from_numpy(changes[:, :num_layers]).to(lengths)
    rows = units @ components.directions.T / lengths @ components.directions
    each = torch.eye(num_layers, device=rows.device)
    return (each[None, :, :, None] * rows[:, :, None]).flatten(0, 1)


def _span(vectors: Tensor) -> Tensor:
    """Return orthonormal rows that span the same space as vectors, ``M x N``."""
    # On the CPU and in double precision: not every device can decompose a matrix.
    _, lengths, rows = torch.linalg.svd(vectors.cpu().double(), full_matrices=False)
    count = int((lengths > _NEW * lengths[:1].clamp(min=1e-12)).sum())
    span: Tensor = rows[:count].to(vectors)
    return span
