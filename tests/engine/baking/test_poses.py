# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses to points and back."""

from __future__ import annotations

import numpy as np

from engine.baking.poses import joined, split

HANDLES = np.array([[10.0, 20.0], [30.0, 40.0]], dtype=np.float32)


def test_without_regions_the_points_are_the_handles() -> None:
    none = np.empty(0, np.float32)
    points = joined(HANDLES, np.empty((0, 2), np.float32), none)
    assert points is HANDLES
    handles, turns = split(points, none)
    assert handles is HANDLES and turns.shape == (0, 2)


def test_a_region_adds_a_point_of_its_rim_and_comes_back() -> None:
    radii = np.array([0.0, 8.0], dtype=np.float32)
    turns = np.array([[1.0, 0.0], [0.0, -2.0]], dtype=np.float32)
    points = joined(HANDLES, turns, radii)
    assert points[2:].tolist() == [[0.0, 0.0], [0.0, -16.0]]
    handles, again = split(np.stack([points, points]), radii)
    assert np.array_equal(handles[1], HANDLES) and np.array_equal(again[1], turns)
