# SPDX-License-Identifier: GPL-3.0-or-later
"""``dev.py bench step``: what a drag step costs, computed in several ways."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.arrays import FloatArray
from engine.features.source import FeatureGrid, FeatureView
from engine.solving.methods import DragProblem
from engine.solving.methods.draggan import DragGan
from engine.solving.options import DragOptions
from engine.solving.picture import Paths
from stylegan2 import Generator
from tools.bench import step, step_measure
from tools.bench.step_rows import LITERAL, WAYS, Case, Measurement, cases, table_of, ways_on

CASE = Case("256", 2, mask=True)


def measurement(way: str, case: Case = CASE, **others: Any) -> Measurement:
    values: dict[str, Any] = {
        "model": case.model,
        "points": case.points,
        "mask": case.mask,
        "way": way,
        "image_px": 256,
        "feature_px": 128,
        "device": "cpu",
        "threads": 2,
        "steps": 20,
        "step_s": 0.5,
        "core_s": 0.9,
        "multiply_adds": 10**9,
        "flops": 1e10,
        "peak_mb": 700.4,
    }
    return Measurement(**values | others)


def test_the_table_compares_with_the_literal_step_of_the_same_case() -> None:
    other = Case("256", 8, mask=False)
    lines = table_of(
        [
            measurement("literal", step_s=3.0),
            measurement("windows"),
            measurement("full-squares", multiply_adds=None, core_s=None, peak_mb=None),
            measurement("full", other),
        ]
    )
    assert [dict(zip(lines[0], line, strict=True))["(a) / s"] for line in lines[1:]] == (
        ["1.0", "6.0", "6.0", "-"]
    )
    # Two operations for each multiply-add: 2e9 at 1e10 a second.
    assert lines[2][:7] == ["256", "256", "2", "yes", "(c) windows", "0.500", "6.0"]
    assert lines[2][7:] == ["1.00", "0.200", "40 %", "0.900", "700", "20"]
    assert lines[3][7:12] == ["-"] * 5
    assert lines[4][2:4] == ["8", "no"]


def test_the_ways_of_a_case_are_measured_in_order_and_a_failure_costs_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Case, str]] = []

    def apart(case: Case, way: str, _arguments: argparse.Namespace) -> Measurement:
        asked.append((case, way))
        if (case.points, way) == (8, "full"):
            raise subprocess.CalledProcessError(-9, "measure")
        return measurement(way, case)

    monkeypatch.setattr(step, "measure_apart", apart)
    path = tmp_path / "step.json"
    arguments = ["--model", "256", "--points", "2", "--points", "8", "--mask", "no"]
    assert step.main([*arguments, "--markdown", "--json", str(path)]) == 1
    wanted = [Case("256", 2, mask=False), Case("256", 8, mask=False)]
    assert asked == [(case, way) for case in wanted for way in ways_on("cpu")]
    output = capsys.readouterr()
    assert "full of Case(model='256', points=8, mask=False) failed with code -9" in output.err
    assert output.out.startswith("| model |") and "10 GFLOP/s" in output.out
    assert len(json.loads(path.read_text())) == 2 * len(ways_on("cpu")) - 1


def test_only_the_ways_that_are_named_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def apart(case: Case, way: str, _arguments: argparse.Namespace) -> Measurement:
        asked.append(way)
        return measurement(way, case)

    monkeypatch.setattr(step, "measure_apart", apart)
    arguments = ["--model", "256", "--points", "2", "--mask", "no", "--device", "cuda:1"]
    assert step.main(arguments) == 0
    assert asked == list(WAYS)
    asked.clear()
    assert step.main([*arguments, "--way", "windows", "--way", "graphs"]) == 0
    assert asked == ["windows", "graphs"]
    assert step.variables_of("fused-graphs") == {}
    assert step.variables_of("graphs") == {"DRAGGAN_FUSED": "0"}


def test_without_a_choice_there_are_all_cases_and_few_if_it_is_to_be_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Case] = []

    def apart(case: Case, way: str, _arguments: argparse.Namespace) -> Measurement:
        asked.append(case)
        return measurement(way, case)

    monkeypatch.setattr(step, "measure_apart", apart)
    assert step.main([]) == 0
    assert list(dict.fromkeys(asked)) == cases()
    assert len(cases()) == 4 * 3 * 2
    asked.clear()
    assert step.main(["--quick", "--model", "1024"]) == 0
    assert set(asked) == {Case("1024", 2, mask=False)}


def test_a_measurement_is_passed_on_from_its_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **_how: Any) -> subprocess.CompletedProcess[bytes]:
        assert command[1:4] == ["-m", "tools.bench", "step"]
        # What a way does not have is off, whatever the environment says.
        variables = _how["env"]
        assert variables["DRAGGAN_FUSED"] == variables["DRAGGAN_GRAPHS"] == "0"
        assert variables["PATH"] == os.environ["PATH"]
        code = step.main(command[4:])
        return subprocess.CompletedProcess(command, code, capsys.readouterr().out.encode())

    def measure(case: Case, way: str, steps: int, device: str, threads: int) -> Measurement:
        assert (steps, device, threads) == (3, "cpu", 1)
        return measurement(way, case)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(step_measure, "measure", measure)
    arguments = argparse.Namespace(threads=1, device="cpu", quick=True)
    assert step.measure_apart(CASE, "windows", arguments) == measurement("windows")


@pytest.fixture
def quick_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_measure, "MATRIX", 64)


@pytest.mark.usefixtures("quick_product")
@pytest.mark.parametrize("way", ways_on("cpu"))
def test_each_way_is_measured(way: str) -> None:
    row = step_measure.measure(Case("suzanne", 2, mask=True), way, 3, "cpu", 1)
    assert (row.image_px, row.feature_px, row.device, row.threads) == (128, 128, "cpu", 1)
    assert row.case == Case("suzanne", 2, mask=True) and row.steps == 3
    assert row.core_s is not None and min(row.step_s, row.core_s, row.flops) > 0
    if WAYS[way].least_squares:
        assert row.multiply_adds is row.floor_s is None
        return
    assert row.multiply_adds is not None and row.floor_s is not None
    assert row.floor_s == pytest.approx(2 * row.multiply_adds / row.flops)


@pytest.mark.usefixtures("quick_product")
@pytest.mark.parametrize("way", [way for way in ways_on("cpu") if way != LITERAL])
def test_the_engine_is_asked_for_what_a_way_says(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def drag(
        _generator: Generator,
        _latent: object,
        handles: FloatArray,
        targets: FloatArray,
        options: DragOptions,
        *,
        on_step: Callable[[object], None],
        should_stop: Callable[[], bool],
        **others: Any,
    ) -> None:
        asked.update(options=options, points=len(handles), **others)
        assert handles.shape == targets.shape
        while not should_stop():
            on_step(None)

    monkeypatch.setattr(step_measure, "drag", drag)
    row = step_measure.measure(Case("suzanne", 8, mask=False), way, 4, "cpu", 1)
    assert row.steps == 4
    assert asked["windows"] is WAYS[way].windows
    assert asked["points"] == 8 and asked["mask"] is None
    assert asked["options"].tolerance_px == 0.0
    is_default = asked["options"].method == DragOptions().method
    assert is_default is WAYS[way].least_squares is (row.multiply_adds is None)


def test_a_windowed_step_is_counted_by_the_window_that_the_method_asks_for(
    generator: Generator,
) -> None:
    class Source:
        """A feature source that reports the radius it is asked for."""

        grid = FeatureGrid((32, 32), (32, 32))

        def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FeatureView:
            raise InterruptedError(radius)

    handles, targets = map(torch.from_numpy, step_measure.points_of(generator, 1))
    none = torch.zeros(1)
    problem = DragProblem(
        generator=generator,
        source=Source(),
        start=torch.zeros(generator.num_ws, generator.w_dim),
        num_layers=6,
        handles=handles,
        targets=targets,
        options=step_measure.options_of(WAYS["windows"]),
        paths=Paths(homes_px=handles, targets_px=targets, radii_px=none, rims_px=none),
        home=torch.zeros(generator.num_ws, generator.w_dim),
    )
    with pytest.raises(InterruptedError) as asked:
        DragGan(problem).look()
    assert step_measure.window_side() == 2 * asked.value.args[0] + 1


def test_a_slow_drag_ends_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(np.arange(100) * 6.0)
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    watch = step_measure.Stopwatch(most_steps=20)
    asked = 1
    while not watch.is_enough():
        asked += 1
    assert asked == 1 + step_measure.WARM_UP + step_measure.LEAST_STEPS
    assert watch.steps == 3
    assert watch.median_s()[0] == 6.0


def test_a_drag_that_ends_at_once_is_refused() -> None:
    watch = step_measure.Stopwatch(most_steps=3)
    watch.is_enough()
    with pytest.raises(ValueError, match="a drag of 0 steps is too short"):
        watch.median_s()


@pytest.mark.parametrize("count", [1, 2, 8])
def test_points_are_in_the_image_and_a_fifth_of_it_is_free_around_them(
    generator: Generator, count: int
) -> None:
    handles, targets = step_measure.points_of(generator, count)
    mask = step_measure.mask_around_ways(generator, count)
    assert handles.shape == targets.shape == (count, 2)
    assert mask.shape == (32, 32) and mask.dtype == np.uint8
    assert np.mean(mask == 255) == pytest.approx(0.2, abs=0.02)
    for points in (handles, targets):
        x, y = points.astype(int).T
        assert (mask[y, x] == 255).all()
