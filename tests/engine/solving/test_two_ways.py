# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags that are made in two ways: of poses, of handles that were lost, and of missed parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from torch import Tensor

from engine.arrays import FloatArray
from engine.models import model_path, sample_latent
from engine.output.render import render_image
from engine.solving import drag as drag_module
from engine.solving import two_ways
from engine.solving.drag import drag
from engine.solving.loop import Home, Loop
from engine.solving.lost import Change
from engine.solving.methods import linearised
from engine.solving.methods.looks import weights_of_looks
from engine.solving.options import DragOptions
from engine.solving.points import LivePoints
from engine.solving.result import DragResult, DragStatus, DragStep
from engine.solving.two_ways import SecondWay, second_way
from stylegan2 import load_generator
from tools.bench.landmarks import LANDMARKS, WEIGHTS, Detector
from tools.bench.local.drags import load_drags
from tools.bench.local.starts import starts_of

from ..synthetic import HANDLES, MOVE, START, shift_drag

POSE = DragOptions(num_layers=2)
ENDED = frozenset({DragStatus.REACHED, DragStatus.STALLED, DragStatus.LOST})
LOCAL = replace(POSE, latent_space="by_hand", freedom=0.67)
PARTS = SecondWay(
    None, ENDED - {DragStatus.REACHED}, looks_fade=4.0, max_steps=20, most_changed=1.3
)


@pytest.fixture
def second_is_likelier(monkeypatch: pytest.MonkeyPatch) -> None:
    _judge(monkeypatch, second=0.1)


def _judge(monkeypatch: pytest.MonkeyPatch, second: float) -> None:
    """Let the ends of first ways be unlike by 0.5, and those of second ones by a number."""

    def change(loop: Loop, status: DragStatus) -> Change:
        assert status is DragStatus.REACHED
        return Change(second if loop._options.latent_space == "by_hand" else 0.5, looks=9.0)

    monkeypatch.setattr(Loop, "change", change)


def _in_one_way(options: DragOptions, **arguments: object) -> DragResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drag_module, "second_way", lambda *_, **__: None)
        return shift_drag(options, **arguments)


def _let_second_be(monkeypatch: pytest.MonkeyPatch, options: DragOptions) -> None:
    monkeypatch.setattr(SecondWay, "options", lambda *_: options)


def _same(one: DragResult, other: DragResult) -> bool:
    return np.array_equal(one.latents, other.latents)


def test_the_way_whose_handles_look_more_like_themselves_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typical, local = _in_one_way(POSE), _in_one_way(LOCAL)
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
    _let_second_be(monkeypatch, replace(LOCAL, max_steps=1))
    assert _same(shift_drag(POSE), _in_one_way(POSE))


def test_where_only_the_second_way_arrives_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stalls = replace(POSE, tolerance_px=1e-5)
    assert _in_one_way(stalls).status is DragStatus.STALLED
    _let_second_be(monkeypatch, LOCAL)
    result = shift_drag(stalls)
    assert _same(result, _in_one_way(LOCAL)) and result.status is DragStatus.REACHED


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


def test_a_white_mask_is_as_none(second_is_likelier: None) -> None:
    white = np.full((48, 32), 255, np.uint8)
    for mode in ("soft", "exact"):
        options = replace(POSE, mask_mode=mode)
        assert shift_drag(options, mask=white).steps == shift_drag(options).steps
        assert shift_drag(options).steps > _in_one_way(options).steps


def test_drags_under_a_soft_mask_and_those_that_go_on_from_others_have_one_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a second way")

    monkeypatch.setattr(drag_module, "second_way", never)
    mask = np.full((48, 32), 255, np.uint8)
    mask[:, :8] = 0
    shift_drag(replace(POSE, mask_mode="soft"), mask=mask)
    shift_drag(POSE, home=Home(latent=START, handles_px=HANDLES))
    shift_drag(POSE, origin=START)


def test_handles_far_apart_and_one_alone_have_a_second_way() -> None:
    places = np.array([[4, 4], [28, 4], [4, 44], [28, 44], [16, 24], [16, 40]], np.float32)

    def way(
        handles: FloatArray, options: DragOptions = POSE, pulled: int = 6, radius: float = 0.0
    ) -> SecondWay | None:
        ways = np.where(np.arange(len(handles)) < pulled, 1.0, 0.0)[:, None] * MOVE
        points = LivePoints(
            keys=range(len(handles)),
            handles_px=handles,
            targets_px=handles + ways,
            radii_px=np.full(len(handles), radius, np.float32),
        )
        return second_way(points, options, 48)

    for handles in (places[:2], places[:5]):
        assert way(handles) == SecondWay(LOCAL.freedom, ENDED)
        assert way(handles, pulled=1) is None, "pins may be far apart"
        assert way(handles, replace(POSE, latent_space="principal")) is None
        assert way(handles, replace(POSE, method="draggan")) is None
        assert way(handles, radius=2.0) is None
    assert way(places[:2] / 8) is None
    many, alone = way(places), way(places[:1])
    assert many is not None and many.after == ENDED - {DragStatus.REACHED}
    assert alone is not None and alone.after == {DragStatus.LOST}
    assert many.freedom is not None and many.freedom < LOCAL.freedom
    assert alone.freedom is not None and alone.freedom < LOCAL.freedom


def test_a_part_under_an_exact_mask_has_a_second_way() -> None:
    def way(options: DragOptions = POSE, radius: float = 0.0) -> SecondWay | None:
        points = LivePoints(
            keys=range(2),
            handles_px=HANDLES,
            targets_px=HANDLES + MOVE,
            radii_px=np.full(2, radius, np.float32),
        )
        return second_way(points, options, 48, is_part=True)

    assert way() == PARTS
    for asked, most in ((0, 20), (300, 20), (5, 5)):
        options = replace(POSE, max_steps=asked)
        assert PARTS.options(options) == replace(options, max_steps=most)
    assert way(radius=2.0) is None
    assert way(replace(POSE, latent_space="w+")) is None


class _ToAnother:
    """Landmarks of one image of the built-in model, dragged to where another one has them."""

    def __init__(self, seeds: tuple[int, int], *landmarks: str) -> None:
        self._generator = load_generator(model_path("suzanne"))
        self._detector = Detector.load(WEIGHTS)
        self._landmarks = [LANDMARKS.index(name) for name in landmarks]
        self._start, other = (sample_latent(self._generator, seed, 0.7) for seed in seeds)
        self._targets_px = self._found_px(other)

    def _found_px(self, latent: FloatArray) -> FloatArray:
        image = render_image(self._generator, latent)
        points_px: FloatArray = self._detector.detect(image[None]).points_px[0][self._landmarks]
        return points_px

    def drag(self) -> tuple[DragResult, float]:
        """Return the result, and how far the landmarks are seen from their targets, px."""
        handles = self._found_px(self._start)
        targets = self._targets_px
        result = drag(self._generator, self._start, handles, targets, DragOptions(), judged=True)
        off_px = np.linalg.norm(self._found_px(result.latents[-1]) - targets, axis=1)
        return result, float(off_px.mean())


def test_a_pose_that_the_typical_way_misses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pose = _ToAnother((100072, 100073), "chin", "ear_left", "crown")
    found, off_px = pose.drag()
    assert found.status is DragStatus.REACHED and off_px < 0.7
    monkeypatch.setattr(drag_module, "second_way", lambda *_, **__: None)
    typical, off_px = pose.drag()
    assert typical.status is DragStatus.REACHED and off_px > 1.0


def test_a_handle_that_is_lost_in_a_local_way_is_found_in_a_typical_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ear = _ToAnother((100320, 100321), "ear_right")
    found, off_px = ear.drag()
    assert found.status is DragStatus.REACHED and off_px < 1.0
    monkeypatch.setattr(drag_module, "second_way", lambda *_, **__: None)
    lost, off_px = ear.drag()
    assert lost.status is DragStatus.LOST and off_px > 8.0
    assert lost.steps < found.steps


@dataclass
class _Part:
    """A drag of the list ``choosing`` of a part of the built-in model, under its mask."""

    number: int

    def __post_init__(self) -> None:
        (asked,) = (one for one in load_drags("choosing") if one.number == self.number)
        self._generator = load_generator(model_path("suzanne"))
        self._start = starts_of(self._generator, Detector.load(WEIGHTS)).start(asked)

    def drag(self, options: DragOptions) -> DragResult:
        asked = self._start.drag
        return drag(
            self._generator,
            self._start.latent,
            asked.handles_px,
            asked.targets_px,
            options,
            mask=asked.mask,
            judged=True,
        )


def test_of_a_part_that_was_missed_only_a_way_that_does_not_paint_over_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ear_up, options = _Part(0), DragOptions()
    stalls = replace(options, tolerance_px=1e-5, patience=2)
    found = Change(0.0, 0.0)

    def change(loop: Loop, status: DragStatus) -> Change:
        assert loop._options is options and status is DragStatus.REACHED
        return found

    monkeypatch.setattr(Loop, "change", change)
    _let_second_be(monkeypatch, options)
    for looks, status in ((1.25, DragStatus.REACHED), (1.35, DragStatus.STALLED)):
        found = Change(9.0, looks)
        assert ear_up.drag(stalls).status is status


def test_a_closed_eye_that_no_image_shows_is_left_before_it_is_painted_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed_eye, fades = _Part(12), []

    def weights(ways: Tensor, reach: float, fade: float) -> Tensor:
        fades.append(fade)
        return weights_of_looks(ways, reach, fade)

    monkeypatch.setattr(linearised, "weights_of_looks", weights)
    kept = closed_eye.drag(DragOptions())
    assert kept.status is DragStatus.STALLED and kept.distances_px[-1] > 2
    assert fades == sorted(fades) and set(fades) == {1.5, 4.0}, "both ways, one after the other"
    monkeypatch.setattr(two_ways, "_PAINTED_OVER", 2.0)
    painted_over = closed_eye.drag(DragOptions())
    assert painted_over.status is DragStatus.REACHED and painted_over.distances_px[-1] < 1
