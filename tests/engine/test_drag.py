# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from draggan_blender.protocol.settings import DragSettings
from engine.drag import DragResult, DragStatus, DragStep, drag
from engine.drag_options import METHOD_NAMES, DragOptions
from engine.errors import RequestError
from engine.methods import METHODS, DragProblem, Look
from stylegan2 import Generator

from .synthetic import ShiftGenerator

START = np.zeros((4, 8), dtype=np.float32)
HANDLES = np.array([[10.0, 20.0], [20.0, 30.0]], dtype=np.float32)
MOVE = np.array([6.0, -5.0], dtype=np.float32)
QUICK = DragOptions(num_layers=2, step_size=0.01, max_steps=100, patience=30)


def _options(**changes: object) -> DragOptions:
    return replace(QUICK, **changes)


def _shift_px(generator: ShiftGenerator, latent: np.ndarray) -> np.ndarray:
    """How far the content has really moved, in image pixels (twice the feature's)."""
    return generator.shift_of(torch.from_numpy(latent)).numpy() * 2


def _shift_drag(options: DragOptions = QUICK, **arguments: object) -> DragResult:
    return drag(ShiftGenerator(), START, HANDLES, HANDLES + MOVE, options, **arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_space": "w"},
        {"latent_space": "w+"},
        {"supervision_norm": "l2"},
        {"tracking": "updated"},
        {"step_schedule": "distance"},
        {"method": "freedrag"},
        {"method": "freedrag", "latent_space": "w"},
        {"method": "linearised", "latent_space": "w+"},
        {"method": "linearised", "latent_space": "principal"},
        {"method": "linearised", "tracking": "updated"},
    ],
)
def test_the_content_really_arrives_where_the_targets_are(changes: dict[str, str]) -> None:
    result = _shift_drag(_options(**changes))
    assert result.status is DragStatus.REACHED
    moved = _shift_px(ShiftGenerator(), result.latents[-1])
    assert np.linalg.norm(moved - MOVE) < 1.2
    assert result.distances_px[-1] <= 1.0
    # FreeDrag does not track: its handles are where the content is meant to be.
    accuracy_px = 1.0 if changes.get("method") == "freedrag" else 0.2
    assert np.allclose(result.handles_px[-1], HANDLES + moved, atol=accuracy_px)


def test_the_record_begins_with_the_unchanged_start() -> None:
    result = _shift_drag()
    rows = len(result.latents)
    assert np.array_equal(result.latents[0], START)
    assert np.allclose(result.handles_px[0], HANDLES)
    assert result.distances_px[0] == pytest.approx(np.linalg.norm(MOVE))
    assert result.latents.shape == (rows, 4, 8) and result.handles_px.shape == (rows, 2, 2)
    assert result.losses.shape == result.distances_px.shape == (rows,)


def test_without_subpixel_tracking_handles_go_in_whole_feature_pixels() -> None:
    result = _shift_drag(_options(subpixel=False, max_steps=20))
    ways = (result.handles_px - HANDLES) / 2
    assert np.abs(ways).max() >= 1
    assert np.allclose(ways, ways.round(), atol=1e-4)


def test_only_the_first_layers_change_each_by_itself_or_all_alike(generator, latent) -> None:
    handles, targets = np.array([[12.0, 14.0]]), np.array([[17.0, 14.0]])
    for space, alike in (("w+", False), ("w", True), ("principal", False), ("principal-w", True)):
        options = DragOptions(latent_space=space, num_layers=3, max_steps=4, step_size=0.01)
        change = drag(generator, latent, handles, targets, options).latents[-1] - latent
        assert not change[3:].any() and np.abs(change[:3]).min(axis=1).all()
        assert np.allclose(change[0], change[1], atol=1e-6) == alike


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_one_forward_pass_a_step_and_one_more_for_the_end(method: str) -> None:
    generator = ShiftGenerator()
    options = _options(method=method, max_steps=7, tolerance_px=0.0, patience=0)
    steps: list[DragStep] = []
    drag(generator, START, HANDLES, HANDLES + MOVE, options, on_step=steps.append)
    assert [step.step for step in steps] == list(range(8))
    assert generator.calls == 8


class _HostReads(TorchDispatchMode):
    """Counts operations whose result the host waits for, as `item` and boolean masks do."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket in (
            torch.ops.aten._local_scalar_dense,
            torch.ops.aten.nonzero,
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_no_step_reads_a_single_number_from_the_device(method: str) -> None:
    mask = np.zeros((48, 32), dtype=np.uint8)
    counts = []
    options = _options(method=method, max_steps=6, tolerance_px=0.0, step_schedule="distance")
    with _HostReads() as reads:
        _shift_drag(options, mask=mask, on_step=lambda _: counts.append(reads.count))
    assert len(counts) == 7 and counts[-1] == counts[0] > 0


def test_steps_say_what_the_result_then_holds() -> None:
    steps: list[DragStep] = []
    result = _shift_drag(on_step=steps.append)
    assert len(steps) == len(result.latents)
    for row, step in enumerate(steps):
        assert np.array_equal(step.handles_px, result.handles_px[row])
        assert np.allclose(step.latent.numpy(), result.latents[row], atol=1e-7)
        assert step.distance_px == pytest.approx(result.distances_px[row])
        assert not step.latent.requires_grad


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_same_drag_gives_the_same_numbers(
    generator: Generator, latent: np.ndarray, method: str
) -> None:
    handles, targets = np.array([[12.0, 14.0], [12.5, 16]]), np.array([[17.0, 14.0], [9, 20.0]])
    mask = np.full((32, 32), 255, dtype=np.uint8)
    mask[:, 20:] = 0
    results = [
        drag(generator, latent, handles, targets, options, mask=mask)
        for options in [DragOptions(method=method, max_steps=7)] * 2
    ]
    assert np.array_equal(results[0].latents, results[1].latents)
    assert np.array_equal(results[0].losses, results[1].losses)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_handles_that_are_there_already_need_no_step(method: str) -> None:
    result = drag(ShiftGenerator(), START, HANDLES, HANDLES + 0.3, _options(method=method))
    assert result.status is DragStatus.REACHED and len(result.latents) == 1


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_handle_exactly_on_its_target_is_no_trouble_for_the_others(method: str) -> None:
    targets = HANDLES + MOVE
    targets[1] = HANDLES[1]
    options = _options(method=method, max_steps=5)
    result = drag(ShiftGenerator(), START, HANDLES, targets, options)
    assert np.isfinite(result.latents).all() and len(result.latents) > 1


def test_the_step_limit_ends_it_at_the_best_step() -> None:
    result = _shift_drag(_options(max_steps=3, step_size=0.001))
    assert result.status is DragStatus.STEP_LIMIT
    assert "limit of 3 steps" in result.reason
    assert len(result.latents) == result.best_index + 1
    assert result.steps == 3


class _Scripted:
    """Looks told in advance: way still to go (px), loss (below 0: it is exhausted), settled."""

    def __init__(self, problem: DragProblem, looks: list[tuple[float, float, bool]]) -> None:
        self._problem = problem
        self._looks = iter(looks)

    def look(self) -> Look:
        way_px, loss, settled = next(self._looks)
        left = torch.tensor([way_px / 2, 0.0])
        return Look(
            latent=self._problem.start + loss,
            handles=self._problem.targets - left,
            loss=torch.tensor(loss),
            settled=torch.tensor(settled),
            exhausted=torch.tensor(loss < 0),
        )

    def update(self) -> None:
        pass


def _scripted_drag(
    monkeypatch: pytest.MonkeyPatch, looks: list[tuple[float, float, bool]]
) -> DragResult:
    monkeypatch.setitem(METHODS, "draggan", lambda problem: _Scripted(problem, looks))
    return _shift_drag(_options(max_steps=len(looks) - 1, patience=0))


def test_handles_at_their_targets_are_not_enough_until_the_method_has_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [(8.0, 1.0, True), (0.5, 3.0, False), (0.5, 2.0, False), (0.6, 0.1, True), (0, 0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.REACHED and result.steps == 3


def test_of_equally_near_steps_the_one_of_the_least_loss_is_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [(8.0, 0.1, True), (2.0, 3.0, True), (2.0, 1.0, True), (2.0, 2.0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.STEP_LIMIT
    assert result.best_index == 2 and len(result.latents) == 3
    assert np.allclose(result.latents[:, :2], np.array([0.1, 3, 1])[:, None, None])


def test_a_method_that_is_exhausted_ends_it_at_the_best_step_whatever_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [(8.0, 1.0, True), (2.0, 2.0, True), (5.0, -1.0, True), (0.0, 0.0, True)]
    result = _scripted_drag(monkeypatch, looks)
    assert result.status is DragStatus.STALLED and result.steps == 2
    assert "no nearer; the closest was step 1" in result.reason
    assert len(result.latents) == 2


def test_a_method_that_is_exhausted_at_the_targets_has_reached_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = _scripted_drag(monkeypatch, [(8.0, 1.0, True), (0.5, -1.0, True), (0, 0, True)])
    assert result.status is DragStatus.REACHED and result.steps == 1


def test_a_drag_that_cannot_go_on_stalls_and_is_cut_at_its_best_step() -> None:
    targets = np.array([[10.0, 26.0], [20.0, 24.0]], dtype=np.float32)  # towards each other
    result = drag(ShiftGenerator(), START, HANDLES, targets, _options(patience=6))
    assert result.status is DragStatus.STALLED
    assert "no progress in the last 6 steps" in result.reason
    means = np.linalg.norm(result.handles_px - targets, axis=2).mean(axis=1)
    assert means.argmin() == len(result.latents) - 1 == result.best_index


def test_standing_still_is_no_progress_even_without_a_tolerance() -> None:
    options = _options(max_steps=0, patience=5, tolerance_px=0.0, step_size=1e-9)
    steps: list[DragStep] = []
    result = _shift_drag(options, on_step=steps.append, should_stop=lambda: len(steps) > 50)
    assert result.status is DragStatus.STALLED and len(steps) == 6


def test_a_drag_that_is_stopped_ends_where_it_is() -> None:
    steps: list[DragStep] = []
    result = _shift_drag(on_step=steps.append, should_stop=lambda: len(steps) == 4)
    assert result.status is DragStatus.STOPPED
    assert len(result.latents) == len(steps) == 4


def test_what_the_callback_raises_ends_the_drag() -> None:
    def give_up(step: DragStep) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        _shift_drag(on_step=give_up)


def test_numbers_that_overflow_end_it_with_the_best_so_far() -> None:
    class Overflowing(ShiftGenerator):
        def features(self, ws: torch.Tensor, resolution: int) -> torch.Tensor:
            features = super().features(ws, resolution)
            return features * float("nan") if self.calls > 4 else features

    result = drag(Overflowing(), START, HANDLES, HANDLES + MOVE, QUICK)
    assert result.status is DragStatus.STALLED
    assert "overflowed at step 4" in result.reason
    assert np.isfinite(result.latents).all() and len(result.latents) <= 4


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_fixed_area_holds_the_content_back(method: str) -> None:
    mask = np.zeros((48, 32), dtype=np.uint8)  # everything is fixed
    options = _options(method=method, max_steps=15, patience=0, tolerance_px=0.0)
    unweighted = replace(options, mask_weight=0.0)
    free, held, ignored = (
        np.abs(_shift_px(ShiftGenerator(), _shift_drag(o, mask=m).latents[-1])).max()
        for o, m in ((options, None), (options, mask), (unweighted, mask))
    )
    assert held < 0.3 * free
    assert ignored == pytest.approx(free)


def test_arguments_are_left_as_they_were() -> None:
    latent, handles, targets = START.copy(), HANDLES.copy(), HANDLES + MOVE
    drag(ShiftGenerator(), latent, handles, targets, _options(max_steps=2))
    assert np.array_equal(latent, START) and np.array_equal(handles, HANDLES)


def test_the_result_is_independent_of_drags_before_it() -> None:
    alone = _shift_drag(_options(max_steps=5))
    generator = ShiftGenerator()
    drag(generator, START, HANDLES + 3, HANDLES - MOVE, _options(max_steps=5))
    after = drag(generator, START, HANDLES, HANDLES + MOVE, _options(max_steps=5))
    assert np.array_equal(alone.latents, after.latents)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"latent": np.zeros((3, 8))}, "needs a latent of 4 x 8 values"),
        ({"latent": np.full((4, 8), np.nan)}, "not finite"),
        ({"handles_px": HANDLES[:1]}, "as many points"),
        ({"handles_px": np.zeros((0, 2)), "targets_px": np.zeros((0, 2))}, "at least one"),
        (
            {"handles_px": HANDLES + np.array([0, 30])},
            "handle 1 is at (10.0, 50.0), outside the image of 32",
        ),
        ({"targets_px": HANDLES - np.array([11, 0])}, "target 1 is at (-1.0, 20.0)"),
        ({"mask": np.zeros((32, 48), np.uint8)}, "mask must be 32 x 48 px"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, part: str) -> None:
    arguments = {"latent": START, "handles_px": HANDLES, "targets_px": HANDLES} | change
    with pytest.raises(RequestError) as caught:
        drag(ShiftGenerator(), options=QUICK, **arguments)
    assert part in str(caught.value)


def test_options_and_the_settings_of_the_wire_are_twins() -> None:
    wire, ours = DragSettings(), DragOptions()
    assert list(DragSettings.__dataclass_fields__) == list(DragOptions.__dataclass_fields__)
    for name in DragSettings.__dataclass_fields__:
        assert getattr(wire, name) == getattr(ours, name)
        assert type(getattr(wire, name)) is type(getattr(ours, name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "magic"),
        ("latent_space", "z"),
        ("num_layers", 0),
        ("feature_resolution", 100),
        ("r1", -1.0),
        ("r1", 1e9),
        ("r2", 0.0),
        ("step_length", float("nan")),
        ("step_size", 0.0),
        ("step_schedule", "cosine"),
        ("supervision_norm", "l3"),
        ("tracking", "none"),
        ("sub_motion_loss", 0.0),
        ("sub_motion_distance", float("inf")),
        ("linear_reach", 0.0),
        ("mahalanobis_weight", -1.0),
        ("mahalanobis_weight", 0.1),  # without a principal space
        ("mask_weight", float("inf")),
        ("tolerance_px", -1.0),
        ("max_steps", -1),
        ("patience", -1),
    ],
)
def test_an_option_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=name):
        DragOptions(**{name: value})


def test_every_method_that_can_be_named_exists() -> None:
    assert tuple(METHODS) == METHOD_NAMES


def test_a_drag_needs_a_rule_that_ends_it() -> None:
    with pytest.raises(RequestError, match="must not both be 0"):
        DragOptions(max_steps=0, patience=0)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_along_principal_components_it_finds_its_way_and_typicality_holds_it_back(
    generator: Generator, latent: np.ndarray, method: str
) -> None:
    handles, targets = np.array([[12.0, 14.0]]), np.array([[20.0, 14.0]])
    options = DragOptions(
        method=method, latent_space="principal", max_steps=12, step_size=0.02, tolerance_px=0.0
    )
    free, held = (
        _last_latent(generator, latent, handles, targets, o) - latent
        for o in (options, replace(options, mahalanobis_weight=100.0))
    )
    assert np.abs(free[:6]).min(axis=1).all() and not free[6:].any()
    assert np.linalg.norm(held) < 0.5 * np.linalg.norm(free)


def _last_latent(generator: Generator, latent: np.ndarray, *arguments: object) -> np.ndarray:
    """The latent of the last step, whether or not it was the best."""
    steps: list[DragStep] = []
    drag(generator, latent, *arguments, on_step=steps.append)
    return steps[-1].latent.numpy()
