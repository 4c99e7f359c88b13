# SPDX-License-Identifier: GPL-3.0-or-later
"""Least squares of few rows and many columns, without waiting for the device.

Linear algebra only: what the rows and columns mean is ``linearised``'s business.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_LEAST_DAMPING = 1e-8
"""In the square of the unit of d; keeps quotients finite where J is zero."""


class NormalEquations:
    """Those of `|J x - d|^2 + mu |x + r c|^2`, for the smallest x.

    The change x should make the displacements d.  With a small damping `mu` it is the least one
    that does, and r of what `c` has changed so far is taken back, as far as no displacement needs
    it.
    """

    def __init__(
        self, jacobian: Tensor, so_far: Tensor, *, damping: float, taken_back: float
    ) -> None:
        """Take what does not depend on d.

        Args:
            jacobian: `M x N`, M much smaller than N.
            so_far: `N`, c.
            damping: mu, as a share of the mean of the diagonal of `J J^T`.
            taken_back: r, 0 to 1.
        """
        self._jacobian = jacobian
        gram = jacobian @ jacobian.T
        diagonal = gram.diagonal()
        self._damping = damping * diagonal.mean() + _LEAST_DAMPING
        self._damped = gram + torch.diag_embed(self._damping.expand_as(diagonal))
        self._back = taken_back * so_far

    def apply(self, change: Tensor) -> Tensor:
        """`(J^T J + mu) x`, for x of `N`."""
        return self._jacobian.T @ (self._jacobian @ change) + self._damping * change

    def solve(self, right: Tensor) -> Tensor:
        """`(J^T J + mu)^-1 b` for b of `N`, by Woodbury's identity."""
        inner = _solve(self._damped, self._jacobian @ right)
        return (right - self._jacobian.T @ inner) / self._damping

    def least_change(self, wanted: Tensor) -> Tensor:
        """The x, `N`, for a d of `M`."""
        needed = wanted + self._jacobian @ self._back
        return self._jacobian.T @ _solve(self._damped, needed) - self._back


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Without the check of `torch.linalg.solve`, which would wait for the device."""
    solution: Tensor = torch.linalg.solve_ex(matrix, right).result
    return solution


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
    right: Tensor,
    passes: int,
) -> Tensor:
    """The x with `apply(x) = right`, from zero, after so many passes: no more than its size helps.

    Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems" (1952),
    preconditioned.  Both functions are linear, symmetric and positive definite.
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
