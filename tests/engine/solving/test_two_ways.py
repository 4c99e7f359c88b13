# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags of poses, which are made in two ways."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from torch import Tensor

from engine.arrays import FloatArray
from engine.models import model_path, sample_latent
from engine.output.render import render_image
from engine.solving import drag as drag_module
from engine.solving.drag import drag
from engine.solving.loop import Home, Loop
from engine.solving.options import DragOptions
from engine.solving.points import LivePoints
from engine.solving.result import DragResult, DragStatus, DragStep
from engine.solving.two_ways import has_two_ways, local_way
from stylegan2 import load_generator
from tools.bench.landmarks import LANDMARKS, WEIGHTS, Detector

from ..synthetic import HANDLES, MOVE, START, ShiftGenerator, as_generator, shift_drag

POSE = DragOptions(num_layers=2)


@pytest.fixture
def second_is_likelier(monkeypatch: pytest.MonkeyPatch) -> None:
    _judge(monkeypatch, second=0.1)


def _judge(monkeypatch: pytest.MonkeyPatch, second: float) -> None:
    """Let the ends of first ways be unlike by 0.5, and those of second ones by a number."""

    def how_unlike(loop: Loop, status: DragStatus) -> float:
        assert status is DragStatus.REACHED
        return second if loop.options.latent_space == "by_hand" else 0.5

    monkeypatch.setattr(Loop, "how_unlike", how_unlike)


def _in_one_way(options: DragOptions, **arguments: object) -> DragResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drag_module, "has_two_ways", lambda *_: False)
        return shift_drag(options, **arguments)


def _same(one: DragResult, other: DragResult) -> bool:
    return np.array_equal(one.latents, other.latents)


def test_the_way_whose_handles_look_more_like_themselves_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typical, local = _in_one_way(POSE), _in_one_way(local_way(POSE))
    assert typical.status is local.status is DragStatus.REACHED and not _same(typical, local)
    for second, expected in ((0.1, local), (0.9, typical), (0.5, typical)):
        _judge(monkeypatch, second)
        result = shift_drag(POSE)
        assert _same(result, expected) and result.status is DragStatus.REACHED
        assert result.steps == typical.steps + local.steps
        assert np.allclose(result.targets_px, HANDLES + MOVE)


def test_the_second_way_is_not_shown(second_is_likelier: None) -> None:
    steps: list[DragStep] = []
    result = shift_drag(POSE, on_step=steps.append)
    assert len(steps) == len(_in_one_way(POSE).latents) < result.steps


def test_a_second_way_that_does_not_arrive_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    _judge(monkeypatch, second=0.1)
    monkeypatch.setattr(drag_module, "local_way", lambda options: replace(options, max_steps=1))
    assert _same(shift_drag(POSE), _in_one_way(POSE))


def test_where_only_the_second_way_arrives_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stalls = replace(POSE, tolerance_px=1e-5)
    assert _in_one_way(stalls).status is DragStatus.STALLED
    monkeypatch.setattr(drag_module, "local_way", lambda _: local_way(POSE))
    result = shift_drag(stalls)
    assert _same(result, _in_one_way(local_way(POSE))) and result.status is DragStatus.REACHED


def test_a_limit_of_steps_is_one_of_the_drag() -> None:
    limited = replace(POSE, max_steps=2)
    result = shift_drag(limited)
    assert (result.status, result.steps) == (DragStatus.STEP_LIMIT, 2)


@dataclass
class _Changes:
    """Hands out points at the given calls; notes the calls at which the drag would have ended."""

    at: dict[int, LivePoints]
    is_open: bool = False
    calls: int = 0
    rests: list[int] = field(default_factory=list)

    def take(self, resting: Tensor | None) -> LivePoints | None:
        self.calls += 1
        if resting is not None:
            self.rests.append(self.calls)
        return self.at.get(self.calls)


def _points(move: FloatArray) -> LivePoints:
    return LivePoints(keys=(0, 1), handles_px=HANDLES, targets_px=HANDLES + move)


def test_points_that_move_in_the_second_way_are_followed_from_the_end_of_the_first(
    second_is_likelier: None,
) -> None:
    untouched = _in_one_way(POSE)
    first_end = len(untouched.latents)
    steps: list[DragStep] = []
    # The loop asks once after each row; the second way asks after each of its own.
    changes = _Changes({first_end + 2: _points(-MOVE)})
    result = shift_drag(POSE, changes=changes, on_step=steps.append)
    assert result.status is DragStatus.REACHED
    assert np.allclose(result.targets_px, HANDLES - MOVE)
    assert np.array_equal(result.latents[:first_end], untouched.latents)
    assert np.abs(np.diff(result.handles_px, axis=0)).max() < 4.0  # no jump to the start
    assert [step.step for step in steps] == list(range(len(steps)))


def test_points_that_move_after_the_second_way_are_followed_from_what_was_shown(
    second_is_likelier: None,
) -> None:
    asked = _Changes({})
    shift_drag(POSE, changes=asked)
    assert len(asked.rests) == 1, "the drag asks once before it ends"
    changes = _Changes({asked.rests[0]: _points(-MOVE)})
    result = shift_drag(POSE, changes=changes)
    shown = _in_one_way(POSE)
    assert result.status is DragStatus.REACHED
    assert np.array_equal(result.latents[: len(shown.latents)], shown.latents)


def test_an_open_drag_has_one_way() -> None:
    ends = _Changes({}, is_open=True)
    assert shift_drag(POSE, changes=ends).steps == _in_one_way(POSE).steps


def test_a_drag_that_is_stopped_in_its_second_way_keeps_the_first(second_is_likelier: None) -> None:
    steps: list[DragStep] = []
    first = _in_one_way(POSE)
    asked = iter(range(10_000))

    def should_stop() -> bool:
        return len(steps) == len(first.latents) and next(asked) > 3

    result = shift_drag(POSE, on_step=steps.append, should_stop=should_stop)
    assert next(asked) > 3, "it was asked in the second way"
    assert _same(result, first) and result.status is DragStatus.REACHED


def test_parts_and_drags_that_go_on_from_others_have_one_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(options: DragOptions) -> DragOptions:
        raise AssertionError("a second way")

    monkeypatch.setattr(drag_module, "local_way", never)
    mask = np.full((48, 32), 255, np.uint8)
    mask[:, :8] = 0
    shift_drag(replace(POSE, mask_mode="soft"), mask=mask)
    shift_drag(POSE, home=Home(latent=START, handles_px=HANDLES))
    shift_drag(POSE, origin=START)
    shift_drag(replace(POSE, latent_space="principal"))
    # One handle, and two that are close together.
    generator = as_generator(ShiftGenerator())
    for handles in (HANDLES[:1], HANDLES[:1] + np.array([[0, 0], [2, 1]])):
        places = np.asarray(handles, np.float32)
        drag(generator, START, places, places + MOVE, POSE)
    # Only the pulled ones of many are far apart, or too many are pulled.
    apart = np.array([[4, 4], [28, 4], [4, 44], [28, 44], [16, 24], [16, 40]], np.float32)
    points = LivePoints(keys=range(6), handles_px=apart, targets_px=apart + MOVE)
    assert not has_two_ways(points, POSE, 48)
    few = LivePoints(keys=range(5), handles_px=apart[:5], targets_px=apart[:5] + MOVE)
    assert has_two_ways(few, POSE, 48)
    assert not has_two_ways(replace(few, radii_px=np.array([3.0, 0, 0, 0, 0])), POSE, 48)
    pinned = replace(few, targets_px=apart[:5] + MOVE * [[1], [0], [0], [0], [0]])
    assert not has_two_ways(pinned, POSE, 48)


def test_a_pose_that_the_typical_way_misses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chin, ear and crown of one image of the built-in model, to where another one has them."""
    generator = load_generator(model_path("suzanne"))
    detector = Detector.load(WEIGHTS)
    landmarks = [LANDMARKS.index(name) for name in ("chin", "ear_left", "crown")]
    one, other = (sample_latent(generator, seed, 0.7) for seed in (100072, 100073))

    def found_px(latent: FloatArray) -> FloatArray:
        image = render_image(generator, latent)
        points_px: FloatArray = detector.detect(image[None]).points_px[0][landmarks]
        return points_px

    def error_px() -> float:
        result = drag(generator, one, found_px(one), targets_px, DragOptions())
        assert result.status is DragStatus.REACHED
        return float(np.linalg.norm(found_px(result.latents[-1]) - targets_px, axis=1).mean())

    targets_px = found_px(other)
    assert error_px() < 0.7
    monkeypatch.setattr(drag_module, "has_two_ways", lambda *_: False)
    assert error_px() > 1.0
