# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of pairs, and the drags made of them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from engine.arrays import ByteArray
from stylegan2 import Generator
from tools.bench.landmarks import LANDMARKS, Detection
from tools.bench.pairs import (
    FIRST_SEEDS,
    LONGEST_LIST,
    Pair,
    all_in_sight,
    find_pairs,
    landmarks_of,
    mask_around,
    task_of,
)

COUNT = len(LANDMARKS)


class BrightnessDetector:
    """A fake detector: positions depend on the mean colour, visibility on the brightness."""

    def detect(self, images: ByteArray) -> Detection:
        """Return one position for all landmarks, which are visible in most images."""
        means = images.reshape(len(images), -1, 3).mean(axis=1)
        points = np.repeat(means[:, None, :2], COUNT, axis=1) * 20.0 / 255.0 + 6.0
        seen = (means.sum(axis=1).astype(int) % 4 > 0).astype(np.float32)
        errors = np.full((len(images), COUNT), 0.1, dtype=np.float32)
        visible = np.repeat(seen[:, None], COUNT, axis=1)
        colours = np.zeros((len(images), 6), dtype=np.float32)
        return Detection(points.astype(np.float32), errors, visible, colours)


def pairs_of(generator: Generator, name: str, count: int) -> list[Pair]:
    return find_pairs(generator, BrightnessDetector(), name, count)  # type: ignore[arg-type]


def test_a_list_is_always_the_same_and_a_longer_one_begins_alike(generator: Generator) -> None:
    short, long = (pairs_of(generator, "test", count) for count in (3, 6))
    assert [pair.seeds for pair in short] == [pair.seeds for pair in long[:3]]
    assert [pair.index for pair in long] == list(range(6))
    np.testing.assert_array_equal(short[2].latents, long[2].latents)
    assert all(b == a + 1 and a % 2 == 0 for a, b in (pair.seeds for pair in long))


def test_pairs_with_hidden_landmarks_are_left_out(generator: Generator) -> None:
    seeds = [pair.seeds[0] for pair in pairs_of(generator, "choosing", 8)]
    assert (
        seeds[-1] > FIRST_SEEDS["choosing"] + 2 * 7
    )  # the fake detector rejects every fourth image


def test_the_lists_have_no_seed_in_common(generator: Generator) -> None:
    firsts = sorted(FIRST_SEEDS.values())
    assert all(after - before >= LONGEST_LIST for before, after in pairwise(firsts))
    choosing, test = (pairs_of(generator, name, 4) for name in FIRST_SEEDS)
    assert max(choosing[-1].seeds) < min(test[0].seeds)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_every_landmark_serves_equally_often(count: int) -> None:
    used = Counter(place for index in range(14) for place in landmarks_of(index, count))
    assert used == dict.fromkeys(range(COUNT), 2 * count)
    assert all(len(set(landmarks_of(index, count))) == count for index in range(COUNT))


def test_an_image_counts_only_if_all_landmarks_are_seen_sure_and_inside() -> None:
    points = np.full((5, COUNT, 2), 32.0, dtype=np.float32)
    errors = np.full((5, COUNT), 0.5, dtype=np.float32)
    visible = np.ones((5, COUNT), dtype=np.float32)
    points[1, 3] = (63.0, 32.0)
    errors[2, 0] = 1.1  # of 64 px: more than 2 px of 128
    visible[3, 6] = 0.4
    found = Detection(points, errors, visible, np.zeros((5, 6), dtype=np.float32))
    assert all_in_sight(found, 64).tolist() == [True, False, False, False, True]


def pair_with(places: npt.NDArray[np.float64], index: int = 0) -> Pair:
    points = np.repeat(places[:, None], COUNT, axis=1).astype(np.float32)
    images = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    latents = np.zeros((2, 8, 4), dtype=np.float32)
    return Pair(index, (0, 1), latents, images, points)


def test_a_masked_drag_goes_a_fixed_way_towards_the_other_image() -> None:
    task = task_of(pair_with(np.array([[30.0, 30.0], [30.0, 50.0]])), "mask")
    np.testing.assert_allclose(task.targets_px, [[30.0, 34.0]], atol=1e-4)  # 8 px of 128
    assert task.mask is not None
    # A disc of radius 11 px of 64 (22 px of 128), extended by 4 px.
    assert (task.mask > 0).sum() == pytest.approx(np.pi * 11**2 + 4 * 22, rel=0.03)
    assert task.mask[30, 30] == 255 and task.mask[30, 44] == 0


def test_a_masked_drag_stays_inside_the_image_and_moves_also_where_both_images_agree() -> None:
    for index in range(7):
        task = task_of(pair_with(np.array([[1.0, 1.0], [1.0, 1.5]]), index), "mask")
        assert (task.targets_px > 0).all()
        assert np.linalg.norm(task.targets_px - task.handles_px) == pytest.approx(4.0, abs=1e-4)


def test_a_mask_is_what_is_near_to_the_segment() -> None:
    start, end = np.array([2.0, 4.0], dtype=np.float32), np.array([6.0, 4.0], dtype=np.float32)
    mask = mask_around(start, end, 1.0, (8, 8))
    rows = ["".join("#" if value else "." for value in line) for line in mask]
    assert rows[3] == rows[4] == ".######."
    assert rows[2] == rows[5] == "........"


def test_back_drags_return_and_other_settings_are_refused() -> None:
    pair = pair_with(np.array([[30.0, 30.0], [30.0, 50.0]]), 6)
    task = task_of(pair, "back3")
    assert task.returns and task.landmarks == (6, 0, 2)
    with pytest.raises(ValueError, match="the setting must be one of 1, 3, 7"):
        task_of(pair, "5")
