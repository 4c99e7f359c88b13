# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that need a CUDA device; skipped without one."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.solving.drag import drag
from engine.solving.options import METHOD_NAMES, DragOptions
from stylegan2 import Generator, start_graphs, why_no_graphs, window_graphs
from stylegan2.windows import graph_start

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
HANDLES = np.array([[12.0, 14.0], [20.0, 9.0]], dtype=np.float32)
TARGETS = np.array([[25.0, 14.0], [5.0, 9.0]], dtype=np.float32)
MASK = np.tile(np.array([0, 255], dtype=np.uint8).repeat(16), (32, 1))


def _drag(
    generator: Generator,
    latent: FloatArray,
    method: str,
    steps: int,
    *,
    has_windows: bool = False,
) -> FloatArray:
    options = DragOptions(
        method=method,
        latent_space="principal",
        max_steps=steps,
        patience=0,
        tolerance_px=0.0,
        step_size=0.01,
    )
    if has_windows:  # which have to be smaller than the map
        options = dataclasses.replace(options, r1=1.0, r2=2.0, tracking_radius=1.0)
    windows = True if has_windows else None
    found = drag(generator, latent, HANDLES, TARGETS, options, mask=MASK, windows=windows)
    return found.handles_px


def _waits(
    generator: Generator,
    latent: FloatArray,
    method: str,
    steps: int,
    *,
    has_windows: bool = False,
) -> int:
    """Return how often a drag of ``steps`` steps makes the CPU wait for the GPU."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _drag(generator, latent, method, steps, has_windows=has_windows)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_step_waits_for_the_gpu_once(
    generator: Generator, latent: FloatArray, method: str
) -> None:
    on_gpu = copy.deepcopy(generator).to("cuda").freeze()
    _drag(on_gpu, latent, method, 2)
    assert _waits(on_gpu, latent, method, 12) - _waits(on_gpu, latent, method, 4) == 8


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_gpu_goes_the_way_of_the_cpu(
    generator: Generator, latent: FloatArray, method: str
) -> None:
    on_gpu = copy.deepcopy(generator).to("cuda").freeze()
    expected = _drag(generator, latent, method, 3)
    assert np.abs(_drag(on_gpu, latent, method, 3) - expected).max() < 0.1


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_drag_in_cuda_graphs_goes_the_same_way(
    generator: Generator,
    latent: FloatArray,
    method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_gpu, device = copy.deepcopy(generator).to("cuda").freeze(), torch.device("cuda", 0)
    expected = _drag(on_gpu, latent, method, 3, has_windows=True)
    monkeypatch.setattr(graph_start, "_USES", {})
    start_graphs(tmp_path / "cache" / "operators", device)
    _drag(on_gpu, latent, method, 8, has_windows=True)
    found = _drag(on_gpu, latent, method, 3, has_windows=True)
    assert np.abs(found - expected).max() < 0.1
    assert why_no_graphs(device) == ""
    graphs = window_graphs(on_gpu, device)
    assert graphs is not None and len(graphs) > 0
    # What is recorded does not make the CPU wait either.
    twelve, four = (_waits(on_gpu, latent, method, count, has_windows=True) for count in (12, 4))
    assert twelve - four == 8
