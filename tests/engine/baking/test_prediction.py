# SPDX-License-Identifier: GPL-3.0-or-later
"""Predictions from rows whose latent holds the displacements of two handles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from engine.arrays import FloatArray
from engine.baking.prediction import predict

Array = npt.NDArray[np.float64]

HOME = np.array([[10.0, 20.0], [20.0, 30.0]], dtype=np.float32)


def predicted(ways: list[Array], target: Array) -> tuple[FloatArray, FloatArray]:
    """Predict the next row of rows whose latents are the displacements of the handles from home."""
    rows = [way.astype(np.float32) for way in ways]
    return predict(rows, [HOME + row for row in rows], (HOME + target).astype(np.float32))


def circle(frame: float) -> Array:
    """Return displacements on circles, for the second handle twice as large and reversed."""
    x, y = 6 * np.cos(frame / 6), 6 * np.sin(frame / 6)
    return np.array([[x, y], [-2 * x, 2 * y]])


def test_a_motion_goes_on_and_around() -> None:
    latent, handles_px = predicted([circle(frame) for frame in range(4)], circle(4))
    assert latent.dtype == handles_px.dtype == np.float32
    np.testing.assert_allclose(latent, circle(4), atol=0.2)
    np.testing.assert_allclose(handles_px - HOME, latent, atol=1e-5)


@pytest.mark.parametrize("target", [2.0, 1.5, 0.0, 3.0])
def test_it_goes_as_far_as_the_targets(target: float) -> None:
    way: Array = np.array([[1.0, 0.0], [0.0, 1.0]])
    latent, _ = predicted([way, 2 * way], target * way)
    np.testing.assert_allclose(latent, target * way, atol=0.05)


def test_a_jump_is_gone_in_part_only() -> None:
    way: Array = np.array([[1.0, 0.0], [0.0, 1.0]])
    latent, _ = predicted([way, 2 * way], 50 * way)
    np.testing.assert_allclose(latent, 4 * way, atol=1e-5)


def test_the_errors_of_a_handle_at_rest_are_not_taken_for_a_motion() -> None:
    rng = np.random.default_rng(1)
    ways = [0.01 * rng.standard_normal((2, 2)) for _ in range(4)]
    latent, _ = predicted(ways, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert np.abs(latent).max() < 0.1
