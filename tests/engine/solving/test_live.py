# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags whose points are replaced while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.solving import structure
from engine.solving.drag import drag
from engine.solving.options import METHOD_NAMES
from engine.solving.points import LivePoints, PointChange, joined_rows, numbers_of
from engine.solving.result import DragResult, DragStatus, DragStep

from ..synthetic import (
    HANDLES,
    MOVE,
    START,
    ShiftGenerator,
    as_generator,
    paths_of,
    quick_options,
)

Take = Callable[[Tensor | None], LivePoints | None]


@dataclass
class Changes:
    """Replaces the points of a drag as a function says."""

    take: Take
    is_open: bool = True


def live_drag(method: str, take: Take, **more: Any) -> DragResult:
    """Drag the first handle of the waves by ``MOVE``, with changes."""
    options = quick_options(method=method, latent_space="w+", **more.pop("options", {}))
    return drag(
        as_generator(ShiftGenerator()),
        START,
        HANDLES[:1],
        HANDLES[:1] + MOVE,
        options,
        keys=("a",),
        changes=Changes(take),
        **more,
    )


def moved_px(result: DragResult) -> FloatArray:
    """Return how far the content has actually moved, image pixels."""
    latent = torch.from_numpy(result.latents[-1])
    shift: FloatArray = (ShiftGenerator().shift_of(latent) * 2).numpy()
    return shift


def accuracy_px(method: str) -> float:
    """Return how far from the targets the content may be at the end of a long way.

    FreeDrag does not track: its templates adapt, so that the content lags behind.
    """
    return 5.0 if method == "freedrag" else 1.5


def at_rest(*points: LivePoints) -> Take:
    """Return changes that replace the points whenever the drag comes to rest, one after another."""
    waiting = iter(points)
    return lambda resting: None if resting is None else next(waiting, None)


def points_at(move: FloatArray, *keys: str) -> LivePoints:
    """Return points that are to be moved; the keys are ``a`` and ``b``."""
    rows = [("a", "b").index(key) for key in keys]
    return LivePoints(keys=keys, handles_px=HANDLES[rows], targets_px=HANDLES[rows] + move)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_drag_goes_on_to_other_targets_from_where_it_is(method: str) -> None:
    steps: list[DragStep] = []
    result = live_drag(method, at_rest(points_at(-MOVE, "a")), on_step=steps.append)
    assert result.status is DragStatus.REACHED
    assert np.linalg.norm(moved_px(result) + MOVE) < accuracy_px(method)
    assert np.array_equal(result.targets_px, HANDLES[:1] - MOVE)
    # It was at the first target on its way, and row 0 is the start of all.
    assert np.linalg.norm(result.handles_px[:, 0] - HANDLES[0] - MOVE, axis=1).min() <= 1.0
    assert np.array_equal(result.latents[0], START)
    # The distances are those from the last targets, also in rows of the first.
    expected = np.linalg.norm(result.handles_px[0, 0] - HANDLES[0] + MOVE)
    assert np.isclose(result.distances_px[0], expected, atol=1e-4)
    assert [step.step for step in steps] == list(range(len(steps)))


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_newest_target_counts_at_each_step(method: str) -> None:
    """As a mouse that moves on with every step, and then rests."""
    shares = iter(np.linspace(0, 1, 40))

    def changes(resting: Tensor | None) -> LivePoints | None:
        share = next(shares, None)
        return None if share is None else points_at(np.float32(share) * MOVE, "a")

    result = live_drag(method, changes)
    assert result.status is DragStatus.REACHED
    assert np.linalg.norm(moved_px(result) - MOVE) < accuracy_px(method)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_point_that_is_added_starts_where_it_is_placed_in_the_present_image(method: str) -> None:
    placed = (HANDLES + MOVE)[1:]
    both = LivePoints(
        keys=("b", "a"),
        handles_px=np.concatenate([placed, np.full((1, 2), 1e9)]).astype(np.float32),
        targets_px=np.concatenate([placed + 4, HANDLES[:1] + MOVE + 4]).astype(np.float32),
    )
    result = live_drag(method, at_rest(both))
    assert result.status is DragStatus.REACHED
    assert result.keys == ("b", "a")
    assert np.linalg.norm(moved_px(result) - MOVE - 4) < 1.5
    # Before it was added it is where it was added.
    assert np.allclose(result.handles_px[0], [placed[0], HANDLES[0]], atol=1.0)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_point_that_is_taken_away_is_not_held_any_more(method: str) -> None:
    """The two points cannot both reach their targets; without the second, the first can."""
    both = LivePoints(
        keys=("a", "b"), handles_px=HANDLES, targets_px=HANDLES + np.array([MOVE, -MOVE])
    )
    result = live_drag(
        method,
        at_rest(both, points_at(MOVE, "a")),
        options={"patience": 5, "max_steps": 60},
    )
    assert result.status is DragStatus.REACHED
    assert result.keys == ("a",)
    assert np.linalg.norm(moved_px(result) - MOVE) < 1.5


def test_a_drag_at_rest_shows_the_latent_that_it_would_end_with() -> None:
    shown: list[Tensor] = []

    def changes(resting: Tensor | None) -> LivePoints | None:
        if resting is not None:
            shown.append(resting)
        return None

    result = live_drag("linearised", changes)
    assert np.array_equal(shown[-1].numpy(), result.latents[-1])


def test_a_drag_whose_points_nobody_changes_makes_a_second_attempt_unless_it_is_open() -> None:
    """The two points cannot both reach their targets, so each attempt is exhausted."""
    options = quick_options(method="linearised", latent_space="w+", patience=0)

    def steps(is_open: bool | None) -> int:
        changes = None if is_open is None else Changes(lambda resting: None, is_open)
        targets = HANDLES + np.array([MOVE, -MOVE])
        generator = as_generator(ShiftGenerator())
        return drag(generator, START, HANDLES, targets, options, changes=changes).steps

    assert steps(None) == steps(False) > steps(True)


def test_the_limit_of_steps_counts_from_the_last_change() -> None:
    result = live_drag(
        "draggan",
        at_rest(points_at(MOVE * 1.01, "a"), points_at(MOVE, "a")),
        options={"max_steps": 4},
    )
    assert result.status is DragStatus.STEP_LIMIT
    assert result.steps == 3 * 4


def test_a_new_point_outside_the_image_is_refused() -> None:
    outside = LivePoints(
        keys=("a", "b"),
        handles_px=np.array([[1e9, 0], [-5, 3]], np.float32),
        targets_px=HANDLES,
    )
    with pytest.raises(RequestError, match="handle 2"):
        live_drag("linearised", at_rest(outside))


def test_rows_are_carried_by_their_keys() -> None:
    kept = numbers_of(("c", "a", "d"), ("a", "b", "c"))
    assert kept.tolist() == [2, 0, -1]
    places = torch.zeros(3, 2)
    change = PointChange(
        kept=kept,
        handles=places,
        targets=places,
        is_same=False,
        paths=paths_of(places, places),
    )
    present, new = torch.tensor([[1.0], [2], [3]]), torch.tensor([[7.0], [8], [9]])
    assert change.carry(present, new).flatten().tolist() == [3.0, 1.0, 9.0]


def test_joined_rows_have_the_points_of_the_last_row() -> None:
    def rows() -> Iterator[tuple[tuple[str, ...], FloatArray]]:
        yield ("a",), np.array([[1, 1]], np.float32)
        yield ("a", "b"), np.array([[2, 2], [5, 5]], np.float32)
        yield ("b", "c"), np.array([[6, 6], [8, 8]], np.float32)

    keys, places = zip(*rows(), strict=True)
    assert joined_rows(places, keys)[:, :, 0].tolist() == [[5, 8], [5, 8], [6, 8]]


def test_another_radius_of_a_region_changes_neither_its_scale_nor_its_angle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(structure, "feature_spread", lambda *_arguments: torch.ones(()))

    def region(radius_px: float, move: FloatArray) -> dict[str, Any]:
        return {
            "handles_px": HANDLES[:1],
            "targets_px": HANDLES[:1] + move,
            "radii_px": np.array([radius_px], np.float32),
            "turns": np.array([[0.0, 1.0]], np.float32),
        }

    steps: list[DragStep] = []
    wider = LivePoints(keys=("a",), **region(12.0, MOVE + 2))
    first = region(6.0, MOVE)
    result = drag(
        as_generator(ShiftGenerator()),
        START,
        first["handles_px"],
        first["targets_px"],
        quick_options(method="linearised", latent_space="w+"),
        keys=("a",),
        radii_px=first["radii_px"],
        turns=first["turns"],
        changes=Changes(at_rest(wider)),
        on_step=steps.append,
    )
    assert result.status is DragStatus.REACHED
    assert np.linalg.norm(moved_px(result) - MOVE - 2) < 1.5
    for step in steps:
        assert step.turns is not None
        assert np.allclose(step.turns, [[0.0, 1.0]], atol=0.1), step.step
