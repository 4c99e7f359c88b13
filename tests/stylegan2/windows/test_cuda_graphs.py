# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA graphs on a GPU: the results, the memory, and a recording that fails."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import pytest
import torch

from stylegan2 import Canvas, Generator, Matte, Overlay, WindowGraphs
from stylegan2.ops.fused import BuildError, FusedOperators, build, nvrtc
from stylegan2.windows.recorded import GraphUse
from stylegan2.windows.recorder import CudaRecorder

from ..making import random_generator, random_ws
from .test_graphs import CONFIG, assert_same, places, synthesis_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICE = torch.device("cuda", 0)


class _Recorder(CudaRecorder):
    """Finds every recording fast and the GPU large: only the results are of interest."""

    def now_s(self) -> float:
        self.reads = getattr(self, "reads", -1) + 1
        return (0.0, 2.0, 0.0, 1.0)[self.reads % 4]

    def has_room(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def _operators(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FusedOperators | None:
    if kind == "torch":
        return None
    monkeypatch.setenv(nvrtc.SWITCH, str(int(kind == "nvrtc")))
    try:
        return FusedOperators(build(folder / "operators", DEVICE), DEVICE)
    except BuildError as error:
        pytest.skip(str(error))


def _generator() -> Generator:
    return random_generator(CONFIG).to(DEVICE).freeze()


@pytest.mark.parametrize("kind", ["torch", "nvcc", "nvrtc"])
@pytest.mark.parametrize("is_blended", [False, True])
def test_recorded_passes_compute_the_same_as_others(
    kind: str, is_blended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators = _operators(kind, tmp_path, monkeypatch)
    generator = _generator()
    use = GraphUse(_Recorder(DEVICE), contextlib.nullcontext)
    recorded = WindowGraphs(use)
    for drag in range(2):
        canvas = None
        if is_blended:
            base, other = random_ws(generator, 2, seed=9 + drag).to(DEVICE)
            mask = torch.rand(CONFIG.img_shape[1:], device=DEVICE)
            canvas = Canvas(generator, base, [Overlay(other, Matte(CONFIG, mask, 4.0))], 1)
        synthesis = synthesis_of(generator, recorded, drag + 1, operators=operators, canvas=canvas)
        for seed in range(8):
            ws, origins = random_ws(generator, 1, seed)[0].to(DEVICE), places(seed).to(DEVICE)
            found, expected = synthesis.run(ws, origins), synthesis.compute(ws, origins)
            assert_close(found.values, expected.values)
            directions = torch.randn(2, *expected.values.shape, device=DEVICE)
            maps = {16: torch.randn_like(expected.maps[16])}
            assert_close(found.pull_back_each(directions), expected.pull_back_each(directions))
            assert_close(found.pull_back(None, maps), expected.pull_back(None, maps))
    assert use.problem is None
    assert len(recorded) == 1


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare as the proof does: sums on a GPU have no fixed order."""
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_the_memory_is_freed_with_the_generator() -> None:
    generator = _generator()
    use = GraphUse(_Recorder(DEVICE), contextlib.nullcontext)
    recorded = WindowGraphs(use)

    def reserved() -> int:
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    before = reserved()
    synthesis = synthesis_of(generator, recorded)
    for seed in range(6):
        ws, origins = random_ws(generator, 1, seed)[0].to(DEVICE), places(seed).to(DEVICE)
        found = synthesis.run(ws, origins)
        found.pull_back_each(torch.ones(2, *found.values.shape, device=DEVICE))
    assert use.problem is None and len(recorded) == 1
    assert reserved() > before
    del found, synthesis, recorded, ws, origins
    # What is left are workspaces of libraries, which belong to the stream.
    assert reserved() - before < 64 << 20


def test_after_a_recording_that_fails_the_gpu_goes_on() -> None:
    recorder, stream = CudaRecorder(DEVICE), torch.cuda.current_stream(DEVICE)
    x = torch.ones(4, device=DEVICE)
    with pytest.raises(RuntimeError):
        recorder.record(lambda: float((x + 1).sum()), recorder.pool())
    assert torch.cuda.current_stream(DEVICE) == stream
    assert gc.isenabled()
    assert (x * 2).sum().item() == 8.0


def test_a_recording_reads_its_inputs_again() -> None:
    recorder = CudaRecorder(DEVICE)
    x = torch.ones(4, device=DEVICE)
    recording, made = recorder.record(lambda: x * 2, recorder.pool())
    x.fill_(3.0)
    recording.replay()
    assert_same(made, torch.full_like(made, 6.0))
    assert recorder.now_s() > 0.0
