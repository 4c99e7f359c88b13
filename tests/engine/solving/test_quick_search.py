# SPDX-License-Identifier: GPL-3.0-or-later
"""Searches that compare candidates with the compiled operators, and which drags use them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.arrays import FloatArray
from engine.features.full_map import cut_windows
from engine.features.source import FeatureGrid
from engine.solving.drag import drag
from engine.solving.methods import base
from engine.solving.options import DragOptions
from engine.solving.points import LivePoints
from engine.solving.supervision import disc_offsets
from engine.solving.tracking import PointTracker
from stylegan2.ops.fused import FusedOperators, build

from ...stylegan2.making import random_generator, random_ws, tiny_config
from ..synthetic import Waves

SIZE = 40
GRID = FeatureGrid((SIZE, SIZE), (SIZE, SIZE))
HANDLES = torch.tensor([[12.3, 20.0], [25.0, 9.7], [18.5, 38.9]])


@pytest.fixture(scope="module")
def operators(operators_folder: Path) -> FusedOperators:
    """Return the compiled operators."""
    if not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        pytest.skip("there is no C++ compiler")
    device = torch.device("cpu")
    return FusedOperators(build(operators_folder, device), device)


def _found(
    operators: FusedOperators | None, features: Tensor, moved: Tensor, radius: float, memory: float
) -> tuple[Tensor, Tensor]:
    patch = disc_offsets(radius)
    references = cut_windows(features, HANDLES, 6).sample(HANDLES[:, None] + patch)
    tracker = PointTracker(
        references,
        GRID,
        3.0,
        patch=patch,
        renewal=1.0,
        memory=memory,
        inertia=0.25,
        operators=operators,
    )
    found = HANDLES
    for _ in range(3):
        found = tracker.track(cut_windows(moved, found, 9), found, quick=operators is not None)
    return found, tracker.references


@pytest.mark.parametrize("memory", [0.0, 1.0])
@pytest.mark.parametrize("radius", [0.0, 3.0])
@pytest.mark.parametrize("shift", [(0.37, -0.81), (2.62, 2.1), (0.0, 0.0)])
def test_the_same_places_are_found(
    operators: FusedOperators, shift: tuple[float, float], radius: float, memory: float
) -> None:
    waves = Waves()
    features = waves.map(SIZE, SIZE, torch.zeros(2))
    moved = waves.map(SIZE, SIZE, torch.tensor(shift))
    quick, references = _found(operators, features, moved, radius, memory)
    slow, expected = _found(None, features, moved, radius, memory)
    assert torch.equal(quick, slow) and torch.equal(references, expected)


def test_where_all_places_look_alike_a_handle_stays(operators: FusedOperators) -> None:
    flat = torch.full((3, SIZE, SIZE), 0.7)
    assert torch.equal(_found(operators, flat, flat, 3.0, 1.0)[0], HANDLES)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_costs_of_patches(operators: FusedOperators, side: int) -> None:
    torch.manual_seed(3)
    windows, count = torch.randn(2, side, side, 19), 1 if side == 1 else side - 1
    x, y = torch.randint(count, (2, 2, 4, 3))
    fractions = torch.rand(2, 4, 3, 2) * (side > 1)
    references, first = torch.randn(2, 2, 3, 19)
    found = operators.patch_costs(windows, (y * side + x).int(), fractions, references, first, 0.25)
    for window in range(2):
        for candidate in range(4):
            cost = 0.0
            for sample in range(3):
                at = window, candidate, sample
                (right, down), value = fractions[at].tolist(), torch.zeros(19)
                for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    share = (right if dx else 1 - right) * (down if dy else 1 - down)
                    if share:
                        value += share * windows[window, y[at] + dy, x[at] + dx]
                cost += float((value - references[window, sample]).abs().sum())
                cost += 0.25 * float((value - first[window, sample]).abs().sum())
            assert float(found[window, candidate]) == pytest.approx(cost, rel=1e-5)
    none = operators.patch_costs(
        windows[:0], torch.zeros(0, 4, 3).int(), fractions[:0], references[:0], first[:0], 0.25
    )
    assert none.shape == (0, 4)


class _Moves:
    """Moves the target of a drag twice, or leaves it where it is."""

    is_open = False

    def __init__(self, targets: Sequence[FloatArray]) -> None:
        self._targets = list(targets)

    def take(self, resting: Tensor | None) -> LivePoints | None:
        if not self._targets:
            return None
        place = np.array([[12.5, 14.0]], np.float32)
        return LivePoints(keys=(0,), handles_px=place, targets_px=self._targets.pop(0))


@pytest.mark.parametrize("count", [0, 2])
def test_only_a_drag_whose_points_are_moved_searches_quickly(
    operators: FusedOperators, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    compute = FusedOperators.patch_costs

    def counted(self: FusedOperators, *arguments: Tensor) -> Tensor:
        calls.append(1)
        return compute(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(FusedOperators, "patch_costs", counted)
    monkeypatch.setattr(base, "fused_operators", lambda _device: operators)
    generator = random_generator(tiny_config(32)).freeze()
    start = np.array([[12.5, 14.0]], np.float32)
    options = DragOptions(max_steps=4, linear_reach=8.0)
    targets = [start + np.array([[2.0 + number, 0.0]], np.float32) for number in range(count)]
    drag(
        generator,
        random_ws(generator, 1)[0].numpy(),
        start,
        start + np.array([[3.0, 0.0]], np.float32),
        options,
        changes=_Moves(targets),
    )
    assert bool(calls) == bool(count)
