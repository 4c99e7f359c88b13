# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded passes against those that are computed operation by operation.

The recorder is that of ``tests/tape_recorder.py``; the real one is tested on a GPU.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylegan2 import (
    Canvas,
    Generator,
    GeneratorConfig,
    Matte,
    Overlay,
    WindowGraphs,
    WindowPass,
    WindowSynthesis,
    plan_windows,
    start_graphs,
    why_no_graphs,
    window_graphs,
)
from stylegan2.ops.fused import BuildError, FusedOperators, build
from stylegan2.ops.scratch import Scratch
from stylegan2.windows import graph_start, graphs
from stylegan2.windows import recorded as recording
from stylegan2.windows.recorded import GraphUse
from tests.tape_recorder import TapeRecorder, tape_recorder

from ..making import random_generator, random_ws

CONFIG = GeneratorConfig.standard(
    64, channel_base=2048, channel_max=40, z_dim=8, w_dim=12, mapping_layers=2
)
SIDE, LAYERS = 9, 5
CLOSE = 1e-5


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> TapeRecorder:
    monkeypatch.setattr(recording, "ROUNDS", 1)
    return tape_recorder(monkeypatch)


@pytest.fixture
def use(recorder: TapeRecorder) -> GraphUse:
    return GraphUse(recorder, contextlib.nullcontext)


@pytest.fixture
def generator() -> Generator:
    return random_generator(replace(CONFIG, conv_clamp=1.0)).freeze()


@pytest.fixture(scope="module")
def operators(operators_folder: Path) -> FusedOperators:
    device = torch.device("cpu")
    try:
        return FusedOperators(build(operators_folder, device), device)
    except BuildError as error:
        pytest.skip(str(error))


def synthesis_of(
    generator: Generator,
    recorded: WindowGraphs | None,
    seed: int = 1,
    *,
    count: int = 2,
    operators: FusedOperators | None = None,
    canvas: Canvas | None = None,
    held: int = 16,
) -> WindowSynthesis:
    plan = plan_windows(generator.config, 64, SIDE, count, least_crop=held)
    ws = random_ws(generator, 1, seed)[0]
    return WindowSynthesis(generator, 64, plan, ws, LAYERS, operators, canvas, graphs=recorded)


def places(seed: int, count: int = 2) -> Tensor:
    """Return the places of windows: the corner in which their pixels below are outside, others."""
    random = torch.Generator().manual_seed(seed)
    found = torch.randint(0, 64 - SIDE + 1, (count, 2), generator=random)
    found[0] = torch.tensor([0, 64 - SIDE]) if seed % 2 else torch.tensor([64 - SIDE, 3])
    return found


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= CLOSE * expected.abs().max()


def assert_same_pass(found: WindowPass, expected: WindowPass, seed: int) -> None:
    """Compare all that a pass can do."""
    assert_same(found.values, expected.values)
    assert dict(found.maps).keys() == expected.maps.keys()
    random = torch.Generator().manual_seed(seed)
    directions = torch.randn(2, *expected.values.shape, generator=random)
    maps = {16: torch.randn(expected.maps[16].shape, generator=random)}
    assert_same(found.maps[16], expected.maps[16])
    assert_same(found.pull_back_each(directions), expected.pull_back_each(directions))
    for windows, given in ((directions[0], {}), (directions[1], maps), (None, maps)):
        assert_same(found.pull_back(windows, given), expected.pull_back(windows, given))


def repeat(synthesis: WindowSynthesis, times: int, first: int = 1) -> None:
    """Compute passes of a synthesis, and compare each with what is not recorded."""
    for seed in range(first, first + times):
        ws = random_ws(synthesis_generator(synthesis), 1, seed + 100)[0]
        origins = places(seed)
        assert_same_pass(synthesis.run(ws, origins), synthesis.compute(ws, origins), seed)


def synthesis_generator(synthesis: WindowSynthesis) -> Generator:
    """Return a stand-in that has the shapes of the latents."""
    return Generator(synthesis._config, init_weights=False)


@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize("is_blended", [False, True])
def test_recorded_passes_compute_the_same_as_others(
    use: GraphUse,
    recorder: TapeRecorder,
    generator: Generator,
    request: pytest.FixtureRequest,
    is_fused: bool,
    is_blended: bool,
) -> None:
    chosen = request.getfixturevalue("operators") if is_fused else None
    canvases: list[Canvas | None] = [None, None]
    if is_blended:
        base, other = random_ws(generator, 2, seed=9)
        mask = torch.rand(generator.config.img_shape[1:])
        mask[:, :20] = 0
        canvases = [
            Canvas(generator, below, [Overlay(other, Matte(generator.config, mask * by, 4.0))], 1)
            for below, by in ((base, 1.0), (other, 0.6))
        ]
    recorded = WindowGraphs(use)
    # The second drag has other styles of the fixed layers, and something else below.
    for drag, canvas in enumerate(canvases):
        synthesis = synthesis_of(
            generator, recorded, drag + 1, operators=chosen, canvas=canvas, held=16
        )
        repeat(synthesis, 6, first=1 + 10 * drag)
    assert use.problem is None
    assert len(recorded) == 1
    assert recorder.recorded == 1 + 4  # forward, and four kinds of passes back
    assert recorder.replayed > 9 * 5


def test_the_first_passes_are_computed(
    use: GraphUse, recorder: TapeRecorder, generator: Generator
) -> None:
    recorded = WindowGraphs(use)
    synthesis = synthesis_of(generator, recorded)
    ws = random_ws(generator, 1)[0]
    for _ in range(3):
        assert type(synthesis.run(ws, places(1))) is WindowPass
    assert recorder.recorded == 0
    assert type(synthesis.run(ws, places(1))) is not WindowPass
    # A second drag of the same kind goes on with the recording at once.
    assert type(synthesis_of(generator, recorded, 7).run(ws, places(2))) is not WindowPass
    assert recorder.recorded == 1


def test_values_that_are_kept_do_not_change(use: GraphUse, generator: Generator) -> None:
    synthesis = synthesis_of(generator, WindowGraphs(use))
    repeat(synthesis, 4)
    ws = random_ws(generator, 2)
    first = synthesis.run(ws[0], places(1))
    values, held = first.values, first.maps[16]
    gradient = first.pull_back_each(torch.ones(1, *values.shape))
    copies = values.clone(), held.clone(), gradient.clone()
    del first
    synthesis.run(ws[1], places(2)).pull_back_each(torch.randn(1, *values.shape))
    for kept, copy in zip((values, held, gradient), copies, strict=True):
        assert torch.equal(kept, copy)


def test_passes_that_are_alive_at_once_do_not_share_a_recording(
    use: GraphUse, recorder: TapeRecorder, generator: Generator
) -> None:
    recorded = WindowGraphs(use)
    synthesis = synthesis_of(generator, recorded)
    for _ in range(6):
        alive = []
        for seed in range(3):
            ws, origins = random_ws(generator, 1, seed)[0], places(seed)
            alive.append((synthesis.run(ws, origins), synthesis.compute(ws, origins)))
        for seed, (found, expected) in enumerate(alive):
            assert_same_pass(found, expected, seed)
    assert len(recorded) == 2
    assert [type(found) is WindowPass for found, _ in alive] == [False, False, True]


def test_the_number_of_recordings_is_bounded(
    use: GraphUse, recorder: TapeRecorder, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "COMPUTED_FIRST", 0)
    recorded = WindowGraphs(use)
    ws = random_ws(generator, 1)[0]
    for count in (*range(1, 10), 1):
        synthesis = synthesis_of(generator, recorded, count=count)
        synthesis.run(ws, places(1, count))
        found = synthesis.run(ws, places(2, count))
        assert_same(found.values, synthesis.compute(ws, places(2, count)).values)
    assert len(recorded) == graphs._MOST
    # Of ten kinds the first one was recorded again, as it had been dropped.
    assert recorder.recorded == 10


@pytest.mark.parametrize("fault", ["it fails", "it repeats nothing"])
def test_what_goes_wrong_ends_the_use_and_is_said_once(
    use: GraphUse,
    recorder: TapeRecorder,
    generator: Generator,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorded = WindowGraphs(use)
    recorder.fails, recorder.is_stale = fault == "it fails", fault != "it fails"
    repeat(synthesis_of(generator, recorded), 6)
    repeat(synthesis_of(generator, recorded, count=3, held=32), 6)
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    expected = "operation not permitted when stream is capturing"
    if fault != "it fails":
        expected = "a recording has computed something else"
    assert line.getMessage() == f"drags run without CUDA graphs: {expected}"
    assert len(recorded) == 0


def test_a_pass_back_that_cannot_be_recorded_leaves_the_pass_as_it_was(
    use: GraphUse, recorder: TapeRecorder, generator: Generator
) -> None:
    synthesis = synthesis_of(generator, WindowGraphs(use))
    ws = random_ws(generator, 1)[0]
    for _ in range(4):
        found = synthesis.run(ws, places(3))
    directions = torch.randn(2, *found.values.shape)
    # The proof of a pass back changes the pass forward in between.
    recorder.is_stale = True
    gradient = found.pull_back_each(directions)
    recorder.is_stale = False
    assert use.problem is not None
    expected = synthesis.compute(ws, places(3))
    assert_same(found.pull_back_each(directions), expected.pull_back_each(directions))
    assert gradient.shape == (2, 2, LAYERS, CONFIG.w_dim)


def test_reading_a_value_is_refused_as_on_a_gpu(
    use: GraphUse, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # windows look again whether they are inside
    repeat(synthesis_of(generator, WindowGraphs(use)), 6)
    assert use.problem == "_local_scalar_dense is not permitted while a stream is captured"


@pytest.mark.parametrize("reason", ["hardly faster", "no memory"])
def test_what_is_not_worth_it_is_computed(
    use: GraphUse, recorder: TapeRecorder, generator: Generator, reason: str
) -> None:
    recorder.speed_up = 1.05 if reason == "hardly faster" else 2.0
    recorder.has_memory = reason != "no memory"
    recorded = WindowGraphs(use)
    repeat(synthesis_of(generator, recorded), 8)
    assert len(recorded) == 0
    assert use.problem is None
    # Not tried again at every pass.
    assert recorder.recorded == (reason == "hardly faster")


def test_a_pass_back_that_is_hardly_faster_is_computed(
    use: GraphUse, recorder: TapeRecorder, generator: Generator
) -> None:
    recorded = WindowGraphs(use)
    synthesis = synthesis_of(generator, recorded)
    ws = random_ws(generator, 1)[0]
    for _ in range(4):
        synthesis.run(ws, places(1))
    recorder.speed_up = 1.0
    repeat(synthesis, 3)
    assert len(recorded) == 1 and recorder.recorded == 1 + 4
    before = recorder.replayed
    repeat(synthesis, 3)
    assert recorder.replayed == before + 3


def test_new_weights_are_not_computed_with_a_recording_of_the_old_ones(
    use: GraphUse, generator: Generator
) -> None:
    recorded = WindowGraphs(use)
    repeat(synthesis_of(generator, recorded), 5)
    generator.load_state_dict(random_generator(generator.config, seed=5).state_dict())
    generator.freeze()
    repeat(synthesis_of(generator, recorded), 5)
    assert use.problem is None


def test_recordings_are_freed_with_the_generator(
    use: GraphUse, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(graph_start._USES, torch.device("cpu"), use)
    mine = random_generator(CONFIG).freeze()
    recorded = window_graphs(mine, torch.device("cpu"))
    assert recorded is not None and window_graphs(mine, torch.device("cpu")) is recorded
    assert window_graphs(generator, torch.device("cpu")) is not recorded
    synthesis = synthesis_of(mine, recorded)
    repeat(synthesis, 5)
    (slot,) = recorded._slots
    known, weight = weakref.ref(slot), weakref.ref(mine.synthesis.block(64).conv1.weight)
    del slot, synthesis, recorded, mine
    gc.collect()
    assert known() is None and weight() is None


def test_only_a_gpu_records_and_the_switch_turns_it_off(
    tmp_path: Path, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_start, "_USES", {})
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    start_graphs(tmp_path, cpu)
    assert window_graphs(generator, cpu) is None
    assert why_no_graphs(cpu) == "they are off, or cpu has none"
    monkeypatch.setenv(graph_start.SWITCH, "0")
    start_graphs(tmp_path, gpu)
    assert window_graphs(generator, gpu) is None
    monkeypatch.delenv(graph_start.SWITCH)
    start_graphs(tmp_path, gpu)
    assert window_graphs(generator, gpu) is not None
    graph_start._USES[gpu].end("it failed")
    assert window_graphs(generator, gpu) is None
    assert why_no_graphs(gpu) == "it failed"


def test_a_process_that_crashed_while_it_recorded_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    folder, gpu = tmp_path / "cache" / "operators", torch.device("cuda", 0)
    with graph_start._guard(folder, gpu):
        (note,) = folder.glob("graphs-*.loading")
        left = note.with_name(note.name.replace(note.suffixes[0], ".1"))
        left.write_bytes(b"Fatal Python error: Segmentation fault\n")
    with (
        pytest.raises(Exception, match=r"an earlier start crashed .* remove .*graphs-.*\.crashed"),
        graph_start._guard(folder, gpu),
    ):
        pass
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Another GPU")
    with graph_start._guard(folder, gpu):
        pass


def test_buffers_of_a_recording_stay_where_they_are() -> None:
    like = torch.zeros(1)
    kept = Scratch(keeps=True)
    first = weakref.ref(kept.take("a", (4,), like).untyped_storage())
    address = kept.take("a", (4,), like).data_ptr()
    larger = kept.take("a", (1 << 20,), like)
    assert larger.data_ptr() != address
    assert [buffer.data_ptr() for buffer in kept._kept or []] == [address]
    del first
