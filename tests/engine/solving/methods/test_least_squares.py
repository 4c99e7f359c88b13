# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the solver with NumPy's dense solutions of the same problems."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine.solving.methods.least_squares import NormalEquations, conjugate_gradients

ROWS, COLUMNS = 4, 30

Array = npt.NDArray[np.float64]


def _problem() -> tuple[Array, Array, Array]:
    """Return J, d and c."""
    source = np.random.RandomState(3)
    return source.randn(ROWS, COLUMNS), source.randn(ROWS), source.randn(COLUMNS)


def _normal(taken_back: float) -> NormalEquations:
    jacobian, _, so_far = (torch.from_numpy(part) for part in _problem())
    return NormalEquations(jacobian, taken_back * so_far, damping=0.05)


@pytest.mark.parametrize("taken_back", [0.0, 0.1, 1.0])
def test_the_least_change_is_the_solution_of_both_terms_together(taken_back: float) -> None:
    jacobian, wanted, so_far = _problem()
    mu = 0.05 * np.square(jacobian).sum(axis=1).mean() + 1e-8
    # Both terms as rows of one least-squares problem: J x = d and x = -r c, with their weights.
    matrix = np.concatenate([jacobian, np.sqrt(mu) * np.eye(COLUMNS)])
    right = np.concatenate([wanted, -taken_back * np.sqrt(mu) * so_far])
    expected = np.linalg.lstsq(matrix, right, rcond=None)[0]
    found = _normal(taken_back).least_change(torch.from_numpy(wanted))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-12)


def test_solve_undoes_apply() -> None:
    right = torch.from_numpy(np.random.RandomState(5).randn(COLUMNS))
    normal = _normal(taken_back=0.1)
    assert torch.allclose(normal.apply(normal.solve(right)), right, rtol=1e-9)


def test_where_nothing_moves_nothing_is_asked_for() -> None:
    flat = NormalEquations(torch.zeros(2, 5), torch.zeros(5), damping=0.05)
    assert flat.least_change(torch.ones(2)).tolist() == [0.0] * 5
    assert torch.isfinite(flat.solve(torch.ones(5))).all()


def test_conjugate_gradients_are_exact_after_as_many_passes_as_there_are_numbers() -> None:
    source = np.random.RandomState(1)
    root = source.randn(8, 8)
    matrix, right = root @ root.T + 0.5 * np.eye(8), source.randn(8)
    a, b = torch.from_numpy(matrix), torch.from_numpy(right)
    found = conjugate_gradients(lambda x: a @ x, lambda x: x, b, 8)
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(matrix, right), rtol=1e-6)


def test_preconditioned_with_most_of_the_matrix_they_need_a_few_passes() -> None:
    source = np.random.RandomState(1)
    root, more = source.randn(40, 40), source.randn(40, 2)
    inner = root @ root.T + 0.5 * np.eye(40)
    matrix, right = inner + more @ more.T, source.randn(40)
    a, b, m = (torch.from_numpy(part) for part in (matrix, right, np.linalg.inv(inner)))
    found = conjugate_gradients(lambda x: a @ x, lambda x: m @ x, b, 3)
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(matrix, right), rtol=1e-5, atol=1e-9)


def test_nothing_to_solve_gives_zero() -> None:
    zero = torch.zeros(3)
    assert conjugate_gradients(lambda x: 2 * x, lambda x: x, zero, 4).tolist() == [0, 0, 0]
