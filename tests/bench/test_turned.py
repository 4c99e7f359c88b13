# SPDX-License-Identifier: GPL-3.0-or-later
"""The angle of a turned part is read from the pictures alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tools.bench.local import turned

SIZE = 24


def _picture(degrees: float) -> NDArray[np.float64]:
    """Return two bars and a spot, turned counter-clockwise around the middle, ``H x W x 3``."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    angle = np.radians(degrees)
    u, v = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    values = np.exp(-((v / 3) ** 2) - (u / 8) ** 2) + 0.7 * np.exp(
        -((u - 5) ** 2 + (v - 4) ** 2) / 8
    )
    return np.repeat(255.0 * values[:, :, None], 3, axis=2)


@pytest.mark.parametrize("degrees", [0.0, 8.0, 12.5, 30.0, 37.0])
def test_the_angle_between_two_renders_is_found(degrees: float) -> None:
    ladder = np.stack([_picture(angle) - _picture(0) for angle in turned.LADDER])
    inside = np.abs(ladder).max(axis=(0, 3)) > 6
    angle, alike = turned.angle_of(_picture(degrees) - _picture(0), ladder, inside)
    assert angle == pytest.approx(degrees, abs=1.0)
    assert alike > 0.9 if degrees else alike == 0.0


def test_another_change_than_a_turn_is_not_alike() -> None:
    ladder = np.stack([_picture(angle) - _picture(0) for angle in turned.LADDER])
    inside = np.abs(ladder).max(axis=(0, 3)) > 6
    brighter = np.full((SIZE, SIZE, 3), 20.0)
    brighter[: SIZE // 2] = 0.0
    assert turned.angle_of(brighter, ladder, inside)[1] < 0.5
