# SPDX-License-Identifier: GPL-3.0-or-later
"""FreeDrag, step by step, on a ramp whose value is its x, so that losses are in pixels.

On a map of 32 px the longest move is a quarter of ``sub_motion_distance``. The expected loss is set
to one pixel.
"""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch
from torch import Tensor

from engine.features.full_map import FullMapView, cut_windows
from engine.features.source import FeatureGrid, FixedArea
from engine.solving.methods import DragProblem, Look
from engine.solving.methods.freedrag import FreeDrag
from engine.solving.options import DragOptions

from ...synthetic import as_generator, paths_of

SIZE = 32
# The standard deviation of 0 .. 31.
SPREAD = math.sqrt((SIZE**2 - 1) / 12)

OPTIONS = DragOptions(
    method="freedrag",
    latent_space="w+",
    sub_motion_loss=1 / SPREAD,
    sub_motion_distance=8.0,
    tolerance_px=0.5,
)


class _RampSource:
    """A ramp that the test moves, not the latent."""

    grid = FeatureGrid((SIZE, SIZE), (SIZE, SIZE))

    def __init__(self) -> None:
        self.moved_px = 0.0
        self.fixed_change_now = 0.0

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FullMapView:
        ramp = torch.arange(SIZE, dtype=torch.float32) - self.moved_px + 0 * ws.sum()
        features = ramp.expand(1, SIZE, SIZE)
        windows = cut_windows(features, centres, radius)
        return FullMapView(features, ws, windows, features, cast(FixedArea, self))

    def change(self, features: Tensor) -> Tensor:
        return features.new_tensor(self.fixed_change_now)


class _Drag:
    """FreeDrag on the ramp with one handle, from x = 10 to the right."""

    def __init__(self, way: float = 12.0) -> None:
        self.source = _RampSource()
        start = torch.tensor([[10.0, 16.0]])
        problem = DragProblem(
            generator=as_generator(torch.nn.Identity()),
            source=self.source,
            start=torch.zeros(4, 8),
            num_layers=4,
            handles=start,
            targets=start + torch.tensor([way, 0.0]),
            options=OPTIONS,
            paths=paths_of(start, start),
            home=torch.zeros(4, 8),
        )
        self.method = FreeDrag(problem)
        self.look = self._look()

    def _look(self) -> Look:
        with torch.enable_grad():
            return self.method.look()

    def step(self, moved_px: float = 0.0) -> Look:
        """Make a step of the drag, in which the ramp moves by ``moved_px``."""
        self.method.update()
        self.source.moved_px += moved_px
        self.look = self._look()
        return self.look

    @property
    def x(self) -> float:
        """The x of the search point, relative to its start."""
        assert self.look.handles[0, 1] == 16
        return float(self.look.handles[0, 0]) - 10


def test_it_begins_where_the_template_is_off_by_the_expected_loss() -> None:
    drag = _Drag()
    assert drag.x == pytest.approx(1.0)
    assert float(drag.look.loss) == pytest.approx(1.0, rel=1e-5)
    assert not drag.look.settled


def test_a_search_point_waits_during_a_sub_motion_and_moves_on_early_if_that_succeeds() -> None:
    drag = _Drag()
    drag.step(0.4)
    assert drag.x == pytest.approx(1.0)  # the template is 0.6 px away: the sub-motion continues
    drag.step(0.5)
    assert drag.x == pytest.approx(2.0, abs=0.2)  # 0.1 px away, less than a quarter: the next one


def test_a_sub_motion_that_brings_nothing_makes_it_look_behind_itself() -> None:
    drag = _Drag()
    for _ in range(4):
        drag.step()
        assert drag.x == pytest.approx(1.0)
    drag.step()
    # From 1 it looks at -0.6, -0.2, 0.2, …, and the template, which took 0.05 of what was at 1,
    # matches best at 0.2.
    assert drag.x == pytest.approx(0.2, abs=1e-5)
    assert float(drag.look.loss) == pytest.approx(0.2 - 1 / (1 + 9 ** (4 / 3)), rel=1e-4)


def test_a_sub_motion_that_brings_a_little_makes_it_wait() -> None:
    drag = _Drag()
    for moved_px in (0.3, 0.0, 0.0, 0.0, 0.0):
        drag.step(moved_px)
    assert drag.x == pytest.approx(1.0)
    # The template took its share of the remaining 0.7 px.
    share = 1 / (1 + 9 ** (0.5 / 0.6))
    assert float(drag.look.loss) == pytest.approx(0.7 * (1 - share), rel=1e-4)


def test_a_handle_has_arrived_when_its_content_has() -> None:
    drag = _Drag(way=1.0)
    assert drag.x == 1.0 and not drag.look.settled
    drag.step(0.7)
    assert not drag.look.settled
    drag.step(0.1)
    assert drag.x == 1.0 and drag.look.settled
    # From then on it keeps the features there.
    assert float(drag.look.loss) == 0


def test_the_mask_weighs_half_of_what_it_does_in_draggan() -> None:
    drag = _Drag()
    before = float(drag.look.loss)
    drag.source.fixed_change_now = 0.3
    assert float(drag.step().loss) - before == pytest.approx(0.3 * OPTIONS.mask_weight / 2)
