# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping in the middle of a slow step."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.baking.animated_edit import AnimatedEdit
from engine.baking.solve import BakeReport, solve
from engine.models import sample_latent
from engine.solving import judging
from engine.solving.drag import drag
from engine.solving.options import METHOD_NAMES, DragOptions
from engine.solving.result import DragResult, DragStatus
from stylegan2 import Generator, GeneratorConfig
from stylegan2.windows import fused_pass, synthesis

# How long each layer of a pass takes longer than usual, and how long a stop may take.
_LAYER_S, _ANSWER_S = 0.1, 1.0
# How many pairs a drag has.
_MANY = 40


@pytest.fixture(scope="module")
def generator() -> Generator:
    """Return a generator of 64 px with random weights, in which windows are smaller than maps."""
    torch.manual_seed(11)
    config = GeneratorConfig.standard(
        64, channel_base=768, channel_max=24, z_dim=12, w_dim=12, mapping_layers=2
    )
    return Generator(config).freeze()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make each layer of windows slow; return the times when one began."""
    times: list[float] = []
    compute = fused_pass.compute_layer

    def slowly(*arguments: Any, **others: Any) -> Any:
        times.append(time.monotonic())
        time.sleep(_LAYER_S)
        return compute(*arguments, **others)

    monkeypatch.setattr(synthesis, "compute_layer", slowly)
    return times


class _StopAfter:
    """Stops a drag a while after its first request, from another thread."""

    def __init__(self, seconds: float) -> None:
        self.event = threading.Event()
        self.at = 0.0
        self._timer = threading.Timer(seconds, self._stop)
        self._timer.start()

    def _stop(self) -> None:
        self.at = time.monotonic()
        self.event.set()


def _points(generator: Generator) -> FloatArray:
    size = generator.img_shape[2]
    shares: FloatArray = np.random.default_rng(0).uniform(0.2, 0.8, (_MANY, 2)).astype(np.float32)
    return shares * size


def _drag(generator: Generator, method: str, stop: _StopAfter) -> DragResult:
    handles = _points(generator)
    return drag(
        generator,
        sample_latent(generator, 1, 0.5),
        handles,
        handles + 3,
        DragOptions(method=method, max_steps=50, tolerance_px=0.0),
        windows=True,
        judged=True,
        should_stop=stop.event.is_set,
    )


@pytest.mark.parametrize("after_s", [1.0, 2.5])
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_slow_step_of_many_pairs_is_left_within_a_second(
    generator: Generator, slow: list[float], method: str, after_s: float
) -> None:
    stop = _StopAfter(after_s)
    result = _drag(generator, method, stop)
    assert time.monotonic() - stop.at < _ANSWER_S
    assert result.status is DragStatus.STOPPED
    assert len(result.latents) == result.steps + 1
    assert np.isfinite(result.latents).all()
    assert len(slow) > 0


def test_a_drag_that_is_stopped_in_its_first_look_ends_at_its_start(
    generator: Generator, slow: list[float]
) -> None:
    steps: list[int] = []
    handles = _points(generator)
    latent = sample_latent(generator, 1, 0.5)
    result = drag(
        generator,
        latent,
        handles,
        handles + 3,
        DragOptions(),
        windows=True,
        on_step=lambda step: steps.append(step.step),
        should_stop=lambda: len(slow) > 2,
    )
    assert result.status is DragStatus.STOPPED and steps == [0]
    assert np.array_equal(result.latents, latent[None])
    assert np.allclose(result.handles_px[0], handles, atol=1e-3)


def test_who_is_lost_is_not_searched_for_long_after_a_stop(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(*arguments: Any) -> tuple[bool, ...]:
        between = arguments[-1]
        while True:
            time.sleep(0.01)
            between()

    monkeypatch.setattr(judging, "find_lost", search)
    stop = _StopAfter(0.05)
    result = _drag(generator, "linearised", stop)
    assert time.monotonic() - stop.at < _ANSWER_S
    assert result.status is DragStatus.STOPPED and not any(result.lost)


def test_a_bake_is_left_in_the_middle_of_a_frame(generator: Generator, slow: list[float]) -> None:
    latent, handles = sample_latent(generator, 1, 0.5), _points(generator)
    edit = AnimatedEdit(
        first_number=1,
        latent=latent,
        handles_px=handles,
        targets_px=np.repeat((handles + 3)[None], 2, axis=0),
        image_size=(64, 64),
        options=((0, DragOptions()),),
    )
    stop = _StopAfter(1.0)
    report = BakeReport(should_stop=stop.event.is_set)
    assert solve(generator, edit, edit.keys("0" * 64), {}, report) == []
    assert time.monotonic() - stop.at < _ANSWER_S
