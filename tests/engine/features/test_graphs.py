# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole drags whose windows are recorded, with the recorder of ``tests/tape_recorder.py``."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from engine.arrays import ByteArray, FloatArray
from engine.solving.drag import drag
from engine.solving.options import METHOD_NAMES, DragOptions
from stylegan2 import Generator, ImagePass, WindowPass, WindowSynthesis
from stylegan2.windows import graph_start, recorded
from stylegan2.windows.recorded import GraphUse
from tests.tape_recorder import TapeRecorder, tape_recorder

HANDLES = np.array([[12.0, 14.0], [20.0, 9.0]], dtype=np.float32)
TARGETS = np.array([[25.0, 14.0], [5.0, 9.0]], dtype=np.float32)
MASK = np.tile(np.array([0, 255], dtype=np.uint8).repeat(16), (32, 1))
STEPS = 9


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> TapeRecorder:
    monkeypatch.setattr(recorded, "ROUNDS", 1)
    return tape_recorder(monkeypatch)


def _drag(
    generator: Generator,
    latent: FloatArray,
    method: str,
    mask: ByteArray | None,
    mode: str,
) -> FloatArray:
    options = DragOptions(
        method=method,
        max_steps=STEPS,
        patience=0,
        tolerance_px=0.0,
        step_size=0.01,
        mask_mode=mode,
        r2=2.0,
        r1=1.0,
        tracking_radius=1.0,
    )
    found = drag(generator, latent, HANDLES, TARGETS, options, mask=mask, windows=True)
    assert found.steps == STEPS
    return np.stack([found.handles_px[-1]])


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("mode", ["no mask", "soft", "exact"])
def test_a_drag_goes_the_same_way(
    generator: Generator,
    latent: FloatArray,
    method: str,
    mode: str,
    recorder: TapeRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes: list[bool] = []
    run = WindowSynthesis.run

    def counted(
        self: WindowSynthesis,
        ws: torch.Tensor,
        origins: torch.Tensor,
        image: ImagePass | None = None,
    ) -> WindowPass:
        found = run(self, ws, origins, image)
        passes.append(type(found) is not WindowPass)
        return found

    monkeypatch.setattr(WindowSynthesis, "run", counted)
    mask, mode = (None, "soft") if mode == "no mask" else (MASK, mode)
    expected = _drag(generator, latent, method, mask, mode)
    assert not any(passes)
    use = GraphUse(recorder, contextlib.nullcontext)
    monkeypatch.setitem(graph_start._USES, torch.device("cpu"), use)
    _drag(generator, latent, method, mask, mode)
    passes.clear()
    found = _drag(generator, latent, method, mask, mode)
    assert use.problem is None
    # What the drag before has recorded serves this one from its first step on.
    assert passes and all(passes)
    assert np.abs(found - expected).max() < 1e-3
    searches = graph_start._FUNCTIONS.get(generator)
    assert (searches is not None and len(searches) > 0) == (method != "freedrag")
    graph_start._GRAPHS.pop(generator)
    graph_start._FUNCTIONS.pop(generator, None)
