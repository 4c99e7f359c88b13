# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the built-in model's pictures are symmetrical and local."""

from __future__ import annotations

import numpy as np
import pytest

from tools.suzanne import factors, markings, shapes
from tools.suzanne.shapes import Array

# Points of Blender's monkey with x >= 0: eye, middle of an ear, tip of the chin, crown.
PLACES = {
    "eye": (0.35, -0.83, 0.24),
    "ear": (1.05, 0.38, 0.19),
    "chin": (0.0, -0.69, -0.88),
    "crown": (0.0, -0.29, 0.9),
}


def _offsets(x: float, y: float, z: float) -> dict[str, Array]:
    both = shapes.offsets(np.array([[x, y, z], [-x, y, z]]))
    return {name: offset[0] for name, offset in both.items()}


def test_each_coarse_factor_is_a_pose_or_a_shape() -> None:
    assert {"yaw", "pitch", "roll", *_offsets(*PLACES["eye"])} == set(factors.COARSE_FACTORS)


@pytest.mark.parametrize("place", PLACES)
def test_left_and_right_move_alike(place: str) -> None:
    x, y, z = PLACES[place]
    for name, (right, left) in shapes.offsets(np.array([[x, y, z], [-x, y, z]])).items():
        if x:
            np.testing.assert_allclose(left, right * [-1, 1, 1], err_msg=name)


@pytest.mark.parametrize(
    ("place", "moving"),
    [
        ("eye", {"eye_spacing"}),
        ("ear", {"ear_size", "ear_lift"}),
        ("chin", {"muzzle_length", "jaw"}),
        ("crown", {"cranium"}),
    ],
)
def test_a_part_is_moved_by_its_own_shapes_alone(place: str, moving: set[str]) -> None:
    distances = {name: np.linalg.norm(o) for name, o in _offsets(*PLACES[place]).items()}
    assert {name for name, distance in distances.items() if distance > 0.01} == moving


def test_markings_are_on_the_side_that_is_mirrored() -> None:
    for mark in (*markings.FUR, *markings.EYE):
        assert mark.centre[0] >= 0
        assert min(mark.radii) > 0 and 0 < mark.share <= 1
