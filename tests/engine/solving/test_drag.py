# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.solving.drag import drag
from engine.solving.options import METHOD_NAMES, DragOptions
from engine.solving.result import DragStatus, DragStep
from stylegan2 import Generator

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


def _shift_px(generator: ShiftGenerator, latent: FloatArray) -> FloatArray:
    """Return how far the content has actually moved, in image pixels (twice the feature pixels)."""
    shift: FloatArray = (generator.shift_of(torch.from_numpy(latent)) * 2).numpy()
    return shift


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_space": "w"},
        {"latent_space": "w+"},
        {"latent_space": "principal"},
        {"tracking_radius": 0.0},
        {"method": "freedrag"},
        {"method": "freedrag", "latent_space": "w"},
        {"method": "freedrag", "latent_space": "principal"},
        {"method": "linearised", "latent_space": "w"},
        {"method": "linearised", "latent_space": "w+"},
        {"method": "linearised", "latent_space": "principal"},
        {"method": "linearised", "tracking_radius": 0.0},
    ],
)
def test_the_content_really_arrives_where_the_targets_are(changes: dict[str, object]) -> None:
    result = shift_drag(quick_options(**changes))
    assert result.status is DragStatus.REACHED
    moved = _shift_px(ShiftGenerator(), result.latents[-1])
    assert np.linalg.norm(moved - MOVE) < 1.2
    assert result.distances_px[-1] <= 1.0
    # FreeDrag does not track: its handles are where the content should be.
    accuracy_px = 1.0 if changes.get("method") == "freedrag" else 0.2
    assert np.allclose(result.handles_px[-1], HANDLES + moved, atol=accuracy_px)


class _Changing(ShiftGenerator):
    """Moves a mix of its texture and another one; each look has its own share of the other."""

    def __init__(self, shares: list[float]) -> None:
        super().__init__()
        self._shares = shares

    def features(self, ws: torch.Tensor, resolution: int) -> torch.Tensor:
        one = super().features(ws, resolution)
        other = self.waves.map(24, 16, self.shift_of(ws[0]) + 50)[None]
        return torch.lerp(one, other, self._shares[min(self.calls, len(self._shares)) - 1])


@pytest.mark.parametrize(
    ("changes", "shares"),
    [
        # One look shows something else: found again by the features of the start.
        ({"method": "draggan"}, [0, 0, 0, 1, 0]),
        # The content changes gradually, too little in any step to be lost.
        ({"method": "linearised", "linear_reach": 4.0}, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_a_handle_is_known_by_its_first_features_or_by_the_last_ones(
    changes: dict[str, object], shares: list[float]
) -> None:
    generator = as_generator(_Changing(shares))
    result = drag(generator, START, HANDLES, HANDLES + MOVE, quick_options(**changes))
    assert result.status is DragStatus.REACHED
    moved = _shift_px(ShiftGenerator(), result.latents[-1])
    assert np.linalg.norm(moved - MOVE) < 2.0


def test_the_record_begins_with_the_unchanged_start() -> None:
    result = shift_drag()
    rows = len(result.latents)
    assert np.array_equal(result.latents[0], START)
    assert np.allclose(result.handles_px[0], HANDLES)
    assert result.distances_px[0] == pytest.approx(np.linalg.norm(MOVE))
    assert result.latents.shape == (rows, 4, 8) and result.handles_px.shape == (rows, 2, 2)
    assert result.losses.shape == result.distances_px.shape == (rows,)


def test_only_the_first_layers_change_each_by_itself_or_all_alike(
    generator: Generator, latent: FloatArray
) -> None:
    handles, targets = np.array([[12.0, 14.0]]), np.array([[17.0, 14.0]])
    for space, alike in (("w+", False), ("w", True), ("principal", False)):
        options = quick_options(latent_space=space, num_layers=3, max_steps=4)
        change = drag(generator, latent, handles, targets, options).latents[-1] - latent
        assert not change[3:].any() and np.abs(change[:3]).min(axis=1).all()
        assert np.allclose(change[0], change[1], atol=1e-6) == alike


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_one_forward_pass_a_step_and_one_more_for_the_end(method: str) -> None:
    generator = ShiftGenerator()
    options = quick_options(method=method, max_steps=7, tolerance_px=0.0, patience=0)
    steps: list[DragStep] = []
    drag(as_generator(generator), START, HANDLES, HANDLES + MOVE, options, on_step=steps.append)
    assert [step.step for step in steps] == list(range(8))
    assert generator.calls == 8


class _HostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations whose result the CPU waits for, such as ``item`` and boolean masks."""

    count = 0

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self.count += func.overloadpacket in (
            torch.ops.aten._local_scalar_dense,
            torch.ops.aten.nonzero,
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_no_step_reads_a_single_number_from_the_device(method: str) -> None:
    mask = np.zeros((48, 32), dtype=np.uint8)
    counts: list[int] = []
    options = quick_options(method=method, max_steps=6, tolerance_px=0.0, mask_mode="soft")
    with _HostReads() as reads:  # type: ignore[no-untyped-call]
        shift_drag(options, mask=mask, on_step=lambda _: counts.append(reads.count))
    assert len(counts) > 4 and counts[-1] == counts[0] > 0


def test_steps_say_what_the_result_then_holds() -> None:
    steps: list[DragStep] = []
    result = shift_drag(on_step=steps.append)
    assert len(steps) == len(result.latents)
    for row, step in enumerate(steps):
        assert np.array_equal(step.handles_px, result.handles_px[row])
        assert np.allclose(step.latent.numpy(), result.latents[row], atol=1e-7)
        assert step.distance_px == pytest.approx(result.distances_px[row])
        assert not step.latent.requires_grad


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_same_drag_gives_the_same_numbers(
    generator: Generator, latent: FloatArray, method: str
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
def test_a_handle_exactly_on_its_target_is_no_trouble_for_the_others(method: str) -> None:
    targets = HANDLES + MOVE
    targets[1] = HANDLES[1]
    options = quick_options(method=method, max_steps=5)
    result = drag(as_generator(ShiftGenerator()), START, HANDLES, targets, options)
    assert np.isfinite(result.latents).all() and len(result.latents) > 1


def test_what_the_callback_raises_ends_the_drag() -> None:
    def give_up(step: DragStep) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        shift_drag(on_step=give_up)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_fixed_area_holds_the_content_back(method: str) -> None:
    mask = np.zeros((48, 32), dtype=np.uint8)  # everything is fixed
    options = quick_options(
        method=method, max_steps=15, patience=0, tolerance_px=0.0, mask_mode="soft"
    )
    unweighted = replace(options, mask_weight=0.0)
    free, held, ignored = (
        np.abs(_shift_px(ShiftGenerator(), shift_drag(o, mask=m).latents[-1])).max()
        for o, m in ((options, None), (options, mask), (unweighted, mask))
    )
    assert held < 0.3 * free
    assert ignored == pytest.approx(free)


def test_arguments_are_left_as_they_were() -> None:
    latent, handles, targets = START.copy(), HANDLES.copy(), HANDLES + MOVE
    generator = as_generator(ShiftGenerator())
    drag(generator, latent, handles, targets, quick_options(max_steps=2))
    assert np.array_equal(latent, START) and np.array_equal(handles, HANDLES)


def test_the_result_is_independent_of_drags_before_it() -> None:
    alone = shift_drag(quick_options(max_steps=5))
    generator = as_generator(ShiftGenerator())
    drag(generator, START, HANDLES + 3, HANDLES - MOVE, quick_options(max_steps=5))
    after = drag(generator, START, HANDLES, HANDLES + MOVE, quick_options(max_steps=5))
    assert np.array_equal(alone.latents, after.latents)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"latent": np.zeros((3, 8))}, "needs a latent of 4 x 8 values"),
        ({"latent": np.full((4, 8), np.nan)}, "not finite"),
        ({"handles_px": HANDLES[:1]}, "the same number of points"),
        ({"handles_px": np.zeros((0, 2)), "targets_px": np.zeros((0, 2))}, "at least one"),
        (
            {"handles_px": HANDLES + np.array([0, 30])},
            "handle 1 is at (10.0, 50.0), outside the image of 32",
        ),
        ({"targets_px": HANDLES - np.array([11, 0])}, "target 1 is at (-1.0, 20.0)"),
        ({"mask": np.zeros((32, 48), np.uint8)}, "mask must be 32 x 48 px"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], part: str) -> None:
    arguments: dict[str, Any] = {"latent": START, "handles_px": HANDLES, "targets_px": HANDLES}
    with pytest.raises(RequestError) as caught:
        drag(as_generator(ShiftGenerator()), options=QUICK, **(arguments | change))
    assert part in str(caught.value)


def test_handles_that_have_arrived_are_moved_if_a_step_is_wanted() -> None:
    near = HANDLES + np.array([0.2, 0.0], dtype=np.float32)
    options = quick_options(method="linearised")
    none = drag(as_generator(ShiftGenerator()), START, HANDLES, near, options)
    one = drag(as_generator(ShiftGenerator()), START, HANDLES, near, options, least_steps=1)
    assert (none.steps, one.steps) == (0, 1)
    assert one.status is DragStatus.REACHED
    assert one.distances_px[-1] < none.distances_px[-1]


def test_what_no_handle_needs_goes_back_to_the_origin() -> None:
    astray = START.copy()
    astray[:2, 5] = 0.5  # moves nothing
    options = quick_options(method="linearised", latent_space="w+")
    ends = [
        drag(
            as_generator(ShiftGenerator()), astray, HANDLES, HANDLES + MOVE, options, origin=origin
        ).latents[-1]
        for origin in (None, START)
    ]
    assert np.allclose(ends[0][:2, 5], 0.5)
    assert (np.abs(ends[1][:2, 5]) < 0.5).all()


def test_the_fixed_area_is_held_to_the_origin() -> None:
    mask = np.full((48, 32), 255, dtype=np.uint8)
    mask[24:] = 0
    moved = START.copy()
    moved[0, 0] = 0.1  # 2 px to the right
    options = quick_options(method="linearised", mask_weight=50.0, mask_mode="soft")
    goal = HANDLES + np.array([3.0, 0.0], dtype=np.float32)
    ways = []
    for origin in (None, START):
        result = drag(
            as_generator(ShiftGenerator()),
            moved,
            HANDLES,
            goal,
            options,
            mask=mask,
            origin=origin,
            least_steps=1,
        )
        ways.append(_shift_px(ShiftGenerator(), result.latents[-1])[0] - 2.0)
    # Held to the origin, the image moves less far from it.
    assert 0 <= ways[1] < 0.7 * ways[0]
