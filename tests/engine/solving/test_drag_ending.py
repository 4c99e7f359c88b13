# SPDX-License-Identifier: GPL-3.0-or-later
"""When a drag ends, why, and with which row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.solving.drag import drag
from engine.solving.methods import METHODS, DragProblem, Look
from engine.solving.options import METHOD_NAMES
from engine.solving.result import DragResult, DragStatus, DragStep

from ..synthetic import (
    HANDLES,
    MOVE,
    QUICK,
    START,
    ShiftGenerator,
    as_generator,
    quick_options,
    shift_drag,
)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_handles_that_are_there_already_need_no_step(method: str) -> None:
    generator = as_generator(ShiftGenerator())
    result = drag(generator, START, HANDLES, HANDLES + 0.2, quick_options(method=method))
    assert result.status is DragStatus.REACHED and len(result.latents) == 1


def test_the_step_limit_ends_it_at_the_best_step() -> None:
    result = shift_drag(quick_options(max_steps=3, step_size=0.001))
    assert result.status is DragStatus.STEP_LIMIT
    assert "limit of 3 steps" in result.reason
    assert len(result.latents) == result.best_index + 1
    assert result.steps == 3


Way = float | tuple[float, ...]
Looks = Sequence[tuple[Way, float, bool]]


class _Scripted:
    """A method with prescribed looks.

    A look is the remaining distance of the handles (px, one for all or one for each), the loss
    (< 0: exhausted) and whether the method has settled. The latent is the start plus the loss.

    Attributes:
        others: How many further attempts there are.
    """

    others = 0

    def __init__(self, problem: DragProblem, looks: Looks) -> None:
        self._problem = problem
        self._looks = iter(looks)

    def look(self) -> Look:
        way_px, loss, settled = next(self._looks)
        ways = torch.tensor(way_px).expand(len(self._problem.targets)) / 2
        left = torch.stack([ways, torch.zeros_like(ways)], dim=1)
        return Look(
            latent=self._problem.start + loss,
            handles=self._problem.targets - left,
            loss=torch.tensor(loss),
            settled=torch.tensor(settled),
            exhausted=torch.tensor(loss < 0),
        )

    def update(self) -> None:
        pass

    def begin_anew(self) -> bool:
        self.others -= 1
        return self.others >= 0


def _scripted_drag(
    monkeypatch: pytest.MonkeyPatch,
    looks: Looks,
    handles_px: FloatArray = HANDLES,
) -> DragResult:
    monkeypatch.setitem(METHODS, "draggan", lambda problem: _Scripted(problem, looks))
    options = quick_options(max_steps=len(looks) - 1, patience=0)
    generator = as_generator(ShiftGenerator())
    return drag(generator, START, handles_px, handles_px + MOVE, options)


def test_handles_at_their_targets_are_not_enough_until_the_method_has_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [(8.0, 1.0, True), (0.5, 3.0, False), (0.5, 2.0, False), (0.6, 0.1, True), (0, 0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.REACHED and result.steps == 3
    # It ends with the closest row, and of equally close ones with the one of the smallest loss.
    assert len(result.latents) == 3 and result.losses[-1] == 2


def test_a_method_that_has_settled_farther_off_ends_it_at_the_row_that_had_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [(8.0, 1.0, True), (0.7, 2.0, False), (1.8, 3.0, True), (0, 0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.REACHED and result.steps == 2
    assert len(result.latents) == 2 and result.distances_px[-1] == pytest.approx(0.7, abs=1e-4)


def test_it_ends_at_a_row_where_every_handle_has_arrived_even_if_another_is_nearer_on_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: Looks = [(8.0, 1.0, True), ((1.2, 0.0), 1.0, False), (0.9, 1.0, True), (0, 0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.REACHED and result.steps == 2
    assert len(result.latents) == 3 and result.distances_px[-1] == pytest.approx(0.9, abs=1e-4)
    assert result.best_index == 2


def test_the_best_row_is_one_that_is_there_even_if_a_later_one_was_nearer_on_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: Looks = [(8.0, 1.0, True), (0.9, 1.0, False), ((1.2, 0.0), 1.0, True), (0, 0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.REACHED and result.steps == 2
    assert len(result.latents) == 2 and result.best_index == 1


@pytest.mark.parametrize(
    ("handles", "way_px", "status"),
    [
        (5, 1.1, DragStatus.STEP_LIMIT),
        (6, 1.1, DragStatus.REACHED),
        (6, 1.9, DragStatus.REACHED),
        (6, 2.1, DragStatus.STEP_LIMIT),
    ],
)
def test_more_than_five_handles_have_arrived_twice_as_far_from_their_targets(
    monkeypatch: pytest.MonkeyPatch, handles: int, way_px: float, status: DragStatus
) -> None:
    looks = [(8.0, 1.0, True), (way_px, 1.0, True)]
    result = _scripted_drag(monkeypatch, looks, np.linspace(10, 20, 2 * handles).reshape(-1, 2))
    assert result.status is status
    if status is DragStatus.REACHED:
        assert "within 2 px" in result.reason


def test_at_the_step_limit_handles_that_are_there_have_arrived_settled_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = _scripted_drag(monkeypatch, [(8.0, 1.0, True), (0.8, 1.0, False)])
    assert result.status is DragStatus.REACHED and result.steps == 1


def test_of_equally_near_steps_the_one_of_the_least_loss_is_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [(8.0, 0.1, True), (2.0, 3.0, True), (2.0, 1.0, True), (2.0, 2.0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.STEP_LIMIT
    assert result.best_index == 2 and len(result.latents) == 3
    assert np.allclose(result.latents[:, :2], np.array([0.1, 3, 1])[:, None, None])


def test_a_method_that_knows_another_way_goes_on_when_it_is_exhausted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_Scripted, "others", 1)
    looks = [(8.0, 1.0, True), (5.0, -1.0, True), (8.0, 1.0, True), (2.0, 2.0, True)]
    result = _scripted_drag(monkeypatch, [*looks, (3.0, -1.0, True), (0.0, 0.0, True)])
    assert result.status is DragStatus.STALLED and "do not move the handles closer" in result.reason
    assert result.steps == 4 and result.best_index == 3


def test_a_method_that_is_exhausted_ends_it_at_the_best_step_whatever_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [(8.0, 1.0, True), (2.0, 2.0, True), (5.0, -1.0, True), (0.0, 0.0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.STALLED and result.steps == 2
    assert "closer; the closest was step 1" in result.reason
    assert len(result.latents) == 2


def test_a_method_that_is_exhausted_at_the_targets_has_reached_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = _scripted_drag(monkeypatch, [(8.0, 1.0, True), (0.5, -1.0, True), (0, 0, True)])
    assert result.status is DragStatus.REACHED and result.steps == 1


def test_a_drag_that_cannot_go_on_stalls_and_is_cut_at_its_best_step() -> None:
    targets = np.array([[10.0, 26.0], [20.0, 24.0]], dtype=np.float32)  # towards each other
    generator = as_generator(ShiftGenerator())
    result = drag(generator, START, HANDLES, targets, quick_options(patience=6))
    assert result.status is DragStatus.STALLED
    assert "no progress in the last 6 steps" in result.reason
    means = np.linalg.norm(result.handles_px - targets, axis=2).mean(axis=1)
    assert means.argmin() == len(result.latents) - 1 == result.best_index


def test_standing_still_is_no_progress_even_without_a_tolerance() -> None:
    options = quick_options(max_steps=0, patience=5, tolerance_px=0.0, step_size=1e-9)
    steps: list[DragStep] = []
    result = shift_drag(options, on_step=steps.append, should_stop=lambda: len(steps) > 50)
    assert result.status is DragStatus.STALLED and len(steps) == 6


def test_a_drag_that_is_stopped_ends_where_it_is() -> None:
    steps: list[DragStep] = []
    result = shift_drag(on_step=steps.append, should_stop=lambda: len(steps) == 4)
    assert result.status is DragStatus.STOPPED
    assert len(result.latents) == len(steps) == 4


def test_numbers_that_overflow_end_it_with_the_best_so_far() -> None:
    class Overflowing(ShiftGenerator):
        def features(self, ws: torch.Tensor, resolution: int) -> torch.Tensor:
            features = super().features(ws, resolution)
            return features * float("nan") if self.calls > 4 else features

    result = drag(as_generator(Overflowing()), START, HANDLES, HANDLES + MOVE, QUICK)
    assert result.status is DragStatus.STALLED
    assert "overflowed at step 4" in result.reason
    assert np.isfinite(result.latents).all() and len(result.latents) <= 4
