# SPDX-License-Identifier: GPL-3.0-or-later
"""Solves least-squares problems of few rows and many columns without waiting for the device.

This is linear algebra only; the meaning of the rows and columns is defined in ``linearised``, and
that of the metric in ``engine.solving.cost``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..cost import Cost

# The damping of a drag's steps, as a share of the mean of the diagonal of ``J J^T``.
DAMPING = 1e-2
# In the square of the unit of d; keeps quotients finite where J is zero.
_LEAST_DAMPING = 1e-8


class NormalEquations:
    """The normal equations of minimising ``|J x - d|^2 + mu (x + b)^T G (x + b)`` over x.

    x is a change of the coordinates, and d the displacements that it should cause. With a small
    damping ``mu``, x is the smallest such change in the metric G, and it reverts b, a part of the
    change so far, except where the displacements need it.
    """

    def __init__(
        self,
        jacobian: Tensor,
        back: Tensor,
        *,
        damping: float,
        metric: Cost | None = None,
    ) -> None:
        """Compute what does not depend on d.

        Args:
            jacobian: ``M x N``, J; M much smaller than N.
            back: ``N``, b.
            damping: mu, as a share of the mean of the diagonal of ``J G^-1 J^T``.
            metric: G; None for the identity.
        """
        self._jacobian = jacobian
        self._metric = metric
        # ``J G^-1``: a displacement is made by the cheapest change.
        self._cheapest = jacobian if metric is None else metric.invert(jacobian)
        gram = self._cheapest @ jacobian.T
        diagonal = gram.diagonal()
        self._damping = damping * diagonal.mean() + _LEAST_DAMPING
        self._damped = gram + torch.diag_embed(self._damping.expand_as(diagonal))
        self._back = back

    def apply(self, change: Tensor) -> Tensor:
        """Return ``(J^T J + mu G) x``, of size ``N``, for an x of size ``N``."""
        cost = change if self._metric is None else self._metric.apply(change)
        return self._jacobian.T @ (self._jacobian @ change) + self._damping * cost

    def solve(self, right: Tensor) -> Tensor:
        """Return ``(J^T J + mu G)^-1 b`` by Woodbury's identity, of size ``N`` as b."""
        inner = _solve(self._damped, self._cheapest @ right)
        cheapest = right if self._metric is None else self._metric.invert(right)
        return (cheapest - self._cheapest.T @ inner) / self._damping

    def least_change(self, wanted: Tensor) -> Tensor:
        """Return the minimising x, of size ``N``, for a d of size ``M``."""
        needed = wanted + self._jacobian @ self._back
        return self._cheapest.T @ _solve(self._damped, needed) - self._back


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve without the check of ``torch.linalg.solve``, which would wait for the device."""
    solution: Tensor = torch.linalg.solve_ex(matrix, right).result
    return solution


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
    right: Tensor,
    passes: int,
) -> Tensor:
    """Solve ``apply(x) = right`` for x by preconditioned conjugate gradients, starting at zero.

    Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems" (1952).

    Args:
        apply: A symmetric, positive definite, linear function ``N`` -> ``N``.
        precondition: Another one, which approximates the inverse of ``apply``.
        right: ``N``, the right-hand side.
        passes: The number of passes. Apart from rounding, N passes give the exact solution.

    Returns:
        ``N``, the approximate solution.
    """
    tiny = torch.finfo(right.dtype).tiny
    solution, residue = torch.zeros_like(right), right
    direction = preconditioned = precondition(residue)
    energy = residue @ preconditioned
    for _ in range(passes):
        image = apply(direction)
        step = energy / (direction @ image + tiny)
        solution = solution + step * direction
        residue = residue - step * image
        preconditioned = precondition(residue)
        next_energy = residue @ preconditioned
        direction = preconditioned + direction * (next_energy / (energy + tiny))
        energy = next_energy
    return solution
