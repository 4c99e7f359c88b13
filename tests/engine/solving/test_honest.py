# SPDX-License-Identifier: GPL-3.0-or-later
"""Points that cannot be followed, and handles that were lost, on the built-in model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.features.source import grid_of
from engine.models import ModelCache, sample_latent
from engine.solving import judging
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from engine.solving.result import DragResult, DragStatus
from engine.solving.structure import is_flat, structure_at
from engine.solving.supervision import disc_offsets
from stylegan2 import Generator


@pytest.fixture(scope="module")
def suzanne() -> Generator:
    return ModelCache(torch.device("cpu")).get("suzanne").generator


@pytest.fixture(scope="module")
def start(suzanne: Generator) -> FloatArray:
    return sample_latent(suzanne, 0, 0.7)


def _flat(
    generator: Generator, latent: FloatArray, points: list[tuple[float, float]]
) -> list[bool]:
    grid = grid_of(generator, 128)
    places = grid.to_feature(torch.tensor(points, dtype=torch.float32))
    found = structure_at(generator, 128, torch.from_numpy(latent), places, disc_offsets(3.0))
    return list(is_flat(found).tolist())


def test_plain_background_is_flat_even_at_the_border(suzanne: Generator, start: FloatArray) -> None:
    background = [(6.0, 6.0), (1.0, 64.0), (122.0, 5.0), (64.0, 127.0), (3.0, 124.0)]
    assert all(_flat(suzanne, start, background))
    # The head is in the middle.
    assert not any(_flat(suzanne, start, [(64.0, 45.0 + 8 * row) for row in (1, 2, 3)]))


def test_flatness_does_not_depend_on_the_scale_of_the_features(
    suzanne: Generator, start: FloatArray
) -> None:
    grid = grid_of(suzanne, 64)
    points = grid.to_feature(torch.tensor([[6.0, 6.0], [64.0, 60.0]]))
    found = structure_at(suzanne, 64, torch.from_numpy(start), points, disc_offsets(3.0))
    assert is_flat(found).tolist() == [True, False]


def _drag(
    generator: Generator, latent: FloatArray, handle: tuple[float, float], by: tuple[float, float]
) -> DragResult:
    handles = np.array([handle], dtype=np.float32)
    return drag(
        generator,
        latent,
        handles,
        handles + np.array([by], dtype=np.float32),
        DragOptions(),
        judged=True,
    )


def test_an_ordinary_drag_is_neither_flat_nor_lost(suzanne: Generator, start: FloatArray) -> None:
    result = _drag(suzanne, start, (64.0, 60.0), (4.0, 2.0))
    assert result.status is DragStatus.REACHED
    assert result.flat == (False,)
    assert result.lost == (False,)


def test_a_handle_on_plain_background_is_flat(suzanne: Generator, start: FloatArray) -> None:
    assert _drag(suzanne, start, (8.0, 10.0), (12.0, 12.0)).flat == (True,)


def test_a_region_turns_the_head_and_says_by_how_much(
    suzanne: Generator, start: FloatArray
) -> None:
    handles = np.array([[64.0, 60.0]], dtype=np.float32)
    turns = np.array([[math.radians(8), 1.0]], dtype=np.float32)
    radii = np.array([26.0], dtype=np.float32)
    result = drag(
        suzanne, start, handles, handles, DragOptions(), radii_px=radii, turns=turns, judged=True
    )
    assert result.status is DragStatus.REACHED
    assert result.turns is not None and result.turns.shape == (len(result.latents), 1, 2)
    angle, scale = result.turns[-1, 0]
    assert math.degrees(angle) == pytest.approx(8, abs=math.degrees(1 / 26))
    assert scale == pytest.approx(1, abs=1 / 26)
    assert result.handles_px.shape == (len(result.latents), 1, 2)
    assert result.distances_of_pairs_px()[0] == pytest.approx(result.distances_px[-1], abs=1e-3)


def test_a_handle_that_shows_nothing_leaves_the_others_their_way(
    suzanne: Generator, start: FloatArray
) -> None:
    handles = np.array([(64.0, 64.0), (8.0, 10.0)], np.float32)
    targets = handles + np.array([(0.0, 6.0), (6.0, 0.0)], np.float32)
    options = DragOptions(latent_space="principal", max_steps=1)

    def step(count: int, *, judged: bool) -> FloatArray:
        points = handles[:count], targets[:count]
        latents = drag(suzanne, start, *points, options, judged=judged).latents
        change: FloatArray = latents[-1] - latents[0]
        return change

    alone = step(1, judged=True)
    beside, counted = (np.linalg.norm(step(2, judged=judged) - alone) for judged in (True, False))
    assert beside < 0.05 * np.linalg.norm(alone)
    assert beside < 0.3 * counted


def test_a_flat_handle_that_is_alone_is_pulled_as_before(
    suzanne: Generator, start: FloatArray
) -> None:
    handle, target = np.array([[8.0, 10.0]], np.float32), np.array([[12.0, 10.0]], np.float32)
    options = DragOptions(max_steps=2)
    ends = [
        drag(suzanne, start, handle, target, options, judged=judged) for judged in (True, False)
    ]
    assert np.allclose(ends[0].latents, ends[1].latents)


def test_search_points_have_reached_their_targets_only_with_what_was_under_them(
    suzanne: Generator, start: FloatArray
) -> None:
    handle, target = np.array([[64.0, 64.0]], np.float32), np.array([[70.0, 74.0]], np.float32)
    options = DragOptions(method="freedrag", latent_space="w+", max_steps=60)
    believed, seen = (
        drag(suzanne, start, handle, target, options, judged=judged) for judged in (False, True)
    )
    assert believed.status is DragStatus.REACHED and believed.distances_px[-1] < 1
    assert seen.status in (DragStatus.STALLED, DragStatus.LOST)
    assert seen.distances_px[-1] > 2
    assert np.array_equal(seen.latents, believed.latents)
    assert np.linalg.norm(seen.handles_px[-1] - target) == pytest.approx(seen.distances_px[-1])


def test_what_search_points_have_reached_is_not_looked_for_after_a_stop(
    suzanne: Generator, start: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def search(*arguments: Any) -> FloatArray:
        asked.append(True)
        arguments[-1]()
        raise AssertionError("the search went on after the stop")

    monkeypatch.setattr(judging, "find_again", search)
    handle, target = np.array([[64.0, 64.0]], np.float32), np.array([[70.0, 74.0]], np.float32)
    options = DragOptions(method="freedrag", latent_space="w+", max_steps=60)
    result = drag(
        suzanne, start, handle, target, options, judged=True, should_stop=lambda: bool(asked)
    )
    assert asked and result.distances_px[-1] < 1


def test_search_points_that_took_their_content_along_have_reached_their_targets(
    suzanne: Generator, start: FloatArray
) -> None:
    handle, target = np.array([[64.0, 64.0]], np.float32), np.array([[65.5, 64.0]], np.float32)
    options = DragOptions(method="freedrag", latent_space="w+", max_steps=100, tolerance_px=1.5)
    result = drag(suzanne, start, handle, target, options, judged=True)
    assert result.status is DragStatus.REACHED and result.distances_px[-1] <= 1.5
