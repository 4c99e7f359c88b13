# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of *Blend Back*."""

from __future__ import annotations

import numpy as np
import pytest

from tools.bench.blend import EDITS, compare, factors_of
from tools.suzanne.factors import FACTORS


def test_an_edit_changes_its_factors_alone() -> None:
    for number, edit in enumerate(EDITS):
        before, after = factors_of(number)
        changed = {FACTORS[i] for i in np.flatnonzero(before != after)}
        assert changed == set(edit)
        assert np.abs(after).max() <= 1


def test_a_blurred_picture_is_less_sharp_and_outside_of_the_matte_nothing_counts() -> None:
    truth = np.zeros((16, 16, 3), np.uint8)
    truth[:, ::2] = 200
    blurred = np.full_like(truth, 100)
    matte = np.zeros((16, 16), np.uint8)
    matte[4:12, 4:12] = 255
    same = truth.copy()
    same[0] = 7
    exact, soft = compare(same, truth, matte), compare(blurred, truth, matte)
    assert (exact.error, exact.slope_error, exact.sharpness) == (0.0, 0.0, 1.0)
    assert soft.sharpness == 0.0
    assert soft.error == pytest.approx(100 / 255)
