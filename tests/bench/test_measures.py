# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures, each with a case whose result is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tools.bench.landmarks import LANDMARKS, Detection
from tools.bench.measures import (
    Judged,
    LatentStatistics,
    border_of,
    colour_errors,
    image_change,
    measure_drag,
    measure_return,
)
from tools.bench.pairs import Pair, Task

SIZE = 64


def detection(points: npt.NDArray[np.float64]) -> Detection:
    """Return the detection of one image: all landmarks visible, expected errors of 0.5 px."""
    count = len(LANDMARKS)
    return Detection(
        points[None].astype(np.float32),
        np.full((1, count), 0.5, dtype=np.float32),
        np.ones((1, count), dtype=np.float32),
        np.array([[0.3, 0.0, 0.0, 0.4, 0.0, 0.0]], dtype=np.float32),
    )


TWIN = Judged(
    np.full((SIZE, SIZE, 3), 40, dtype=np.uint8),
    dataclasses.replace(
        detection(np.zeros((len(LANDMARKS), 2))), colours=np.zeros((1, 6), dtype=np.float32)
    ),
)


@pytest.fixture
def pair() -> Pair:
    """Return a black image A and a white image B, with all landmarks at (20, 20)."""
    images = np.zeros((2, SIZE, SIZE, 3), dtype=np.uint8)
    images[1] = 255
    points = np.full((2, len(LANDMARKS), 2), 20.0, dtype=np.float32)
    return Pair(0, (1, 2), np.zeros((2, 8, 4), dtype=np.float32), images, points)


def test_distances_are_in_pixels_of_an_image_of_128(pair: Pair) -> None:
    handles = np.array([[20.0, 20.0], [20.0, 20.0]], dtype=np.float32)
    targets = handles + 10
    task = Task("3", (2, 4), handles, targets)
    points = np.zeros((len(LANDMARKS), 2))
    points[2] = (33.0, 34.0)  # 5 px of 64 away
    points[4] = (30.0, 30.5)
    measures = measure_drag(task, pair, Judged(pair.images[0], detection(points)), TWIN)
    assert measures["md"] == pytest.approx((10.0 + 1.0) / 2)
    assert measures["arrived"] == 0.0
    assert measures["uncertainty"] == pytest.approx(1.0)
    assert measures["border"] == 0.0
    assert "outside" not in measures
    assert measures["strange"] == 40.0
    assert measures["colours"] == pytest.approx(0.5 / np.sqrt(6))
    assert measures["background"] == 0.0
    points[2] = (30.0, 30.9)
    measures = measure_drag(task, pair, Judged(pair.images[0], detection(points)), TWIN)
    assert measures["arrived"] == 1.0


def test_change_outside_the_mask_leaves_the_inside_out(pair: Pair) -> None:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[:32] = 255
    after = pair.images[0].copy()
    after[:32] = 200
    after[32:, :32] = 10
    handles = np.array([[20.0, 20.0]], dtype=np.float32)
    task = Task("mask", (0,), handles, handles, mask)
    points = np.full((len(LANDMARKS), 2), 20.0)
    assert measure_drag(task, pair, Judged(after, detection(points)), TWIN)["outside"] == 5.0


def test_there_and_back_is_measured_from_the_start_positions(pair: Pair) -> None:
    handles = np.array([[20.0, 20.0]], dtype=np.float32)
    task = Task("back1", (1,), handles, handles + 10, returns=True)
    points = np.full((len(LANDMARKS), 2), 20.0)
    measures = measure_return(task, pair, Judged(pair.images[1], detection(points)), TWIN)
    assert (measures["md"], measures["change"]) == (0.0, 255.0)


def test_colours_are_compared_part_by_part() -> None:
    found = np.array([0.3, 0.4, 0.0, 0.0, 0.0, -1.0], dtype=np.float32)
    errors = colour_errors(found, np.zeros(6, dtype=np.float32))
    assert errors["fur"] == pytest.approx(np.sqrt(0.125))
    assert errors["eye"] == 0.0
    assert errors["background"] == pytest.approx(np.sqrt(0.5))
    assert errors["colours"] == pytest.approx(np.sqrt(1.25 / 6))


def test_the_border_is_three_pixels_of_128() -> None:
    assert border_of((128, 128)).sum() == 128**2 - 122**2
    assert border_of((16, 16)).sum() == 16**2 - 14**2


def test_image_change_of_no_pixels_is_nothing() -> None:
    black, white = (np.full((4, 4, 3), value, dtype=np.uint8) for value in (0, 255))
    assert image_change(black, white) == 255.0
    assert image_change(black, white, np.zeros((4, 4), dtype=bool)) == 0.0


def test_the_distance_from_w_counts_standard_deviations_and_has_a_floor() -> None:
    random = torch.Generator().manual_seed(1)
    scales = torch.tensor([10.0, 2.0, 0.0])
    samples = torch.randn(20_000, 3, generator=random) * scales + 5.0
    statistics = LatentStatistics(samples)

    def distance(offset: list[float]) -> float:
        latent = np.full((8, 3), 5.0, dtype=np.float32) + np.array(offset, dtype=np.float32)
        latent[6:] = 1e3  # latents that no drag changes do not count
        return statistics.distance(latent)

    assert distance([20.0, 0.0, 0.0]) == pytest.approx(2.0, rel=0.05)
    assert distance([0.0, 2.0, 0.0]) == pytest.approx(1.0, rel=0.05)
    assert distance([0.0, 0.0, 1.0]) == pytest.approx(2.0, rel=0.05)  # 5 % of 10 is a deviation
