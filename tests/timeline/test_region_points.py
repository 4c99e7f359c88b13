# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses of regions as points, and back."""

from __future__ import annotations

import numpy as np
import pytest

from draggan_blender.timeline.memory import apart_px
from draggan_blender.timeline.region_points import joined, places_of, turns_of

PLACES = np.array([[10.0, 20.0], [30.0, 40.0]], dtype=np.float32)


def test_without_regions_the_points_are_the_places() -> None:
    points = joined(PLACES, np.empty((0, 2)), ())
    assert np.array_equal(points, PLACES) and np.array_equal(places_of(points, ()), PLACES)
    assert turns_of(points, ()).shape == (0, 2)


def test_turns_come_back_and_a_point_has_none() -> None:
    turns = np.array([[0.7, 1.5], [3.0, 2.0]])
    points = joined(PLACES, turns, (8.0, 0.0))
    assert np.array_equal(places_of(points, (8.0, 0.0)), PLACES)
    np.testing.assert_allclose(turns_of(points, (8.0, 0.0)), [(0.7, 1.5), (0.0, 1.0)], rtol=1e-6)


def test_a_turn_counts_as_the_way_of_the_rim() -> None:
    radii = (8.0, 0.0)
    still = joined(PLACES, [(0.0, 1.0), (0.0, 1.0)], radii)
    turned = joined(PLACES, [(0.1, 1.0), (1.0, 1.0)], radii)
    assert apart_px(still, turned) == pytest.approx(2 * 8 * np.sin(0.05), rel=1e-5)
