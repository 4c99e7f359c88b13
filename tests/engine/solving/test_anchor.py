# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding handles again, starting from the edit's own image."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.solving.anchor import Anchor
from engine.solving.options import DragOptions

from ..synthetic import HANDLES, START, ShiftGenerator, as_generator


def _moved(x_px: float, y_px: float) -> FloatArray:
    latent = START.copy()
    latent[0, :2] = np.array([x_px, y_px]) / 20
    return latent


@pytest.mark.parametrize("off_px", [(0.0, 0.0), (2.0, -1.5), (-1.0, 2.5)])
@pytest.mark.parametrize("way_px", [(0.0, 0.0), (5.0, -6.0), (-7.0, 3.0)])
def test_they_are_where_the_image_has_gone(
    way_px: tuple[float, float], off_px: tuple[float, float]
) -> None:
    anchor = Anchor(as_generator(ShiftGenerator()), START, HANDLES, DragOptions())
    truth = HANDLES + np.array(way_px, dtype=np.float32)
    found = anchor.find(_moved(*way_px), truth + np.array(off_px, dtype=np.float32))
    assert found.dtype == np.float32
    assert np.abs(found - truth).max() < 0.2


def test_it_depends_on_nothing_but_what_it_is_asked() -> None:
    anchor = Anchor(as_generator(ShiftGenerator()), START, HANDLES, DragOptions())
    first = anchor.find(_moved(3.0, 2.0), HANDLES)
    anchor.find(_moved(-5.0, 6.0), HANDLES)
    assert np.array_equal(anchor.find(_moved(3.0, 2.0), HANDLES), first)


def test_a_block_that_there_is_not_is_a_sentence() -> None:
    with pytest.raises(RequestError, match="feature_resolution: the model has no block of 64"):
        Anchor(as_generator(ShiftGenerator()), START, HANDLES, DragOptions(feature_resolution=64))
