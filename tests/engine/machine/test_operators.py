# SPDX-License-Identifier: GPL-3.0-or-later
"""The fused operators in the engine: compiled once, kept, used, and optional."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.baking.solve import BakeReport
from engine.machine.operators import start_operators
from engine.models import LoadedModel
from engine.output.track import Track
from engine.serving import worker
from engine.serving.job_queue import JobQueue
from stylegan2 import Generator
from stylegan2.ops.fused import BuildError
from stylegan2.windows import fused_start

from ..edits import bake, small_edit
from ..serving.client import ROOT

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("c++", "g++", "clang++")), reason="needs a C++ compiler"
)
on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="tests the cache folder of Linux"
)


def drag(model: Path, caches: Path, out: Path, **variables: str) -> FloatArray:
    """Return the latents of a drag in a process whose user has this cache folder."""
    command = [sys.executable, "-m", "engine", "drag", "--model", str(model), "--out", str(out)]
    command += ["--pair", "12.5,14:17,14"]
    environment = os.environ | {"XDG_CACHE_HOME": str(caches)} | variables
    environment.setdefault(fused_start.SWITCH, "1")
    command += ["--device", "cpu", "--threads", "1", "--max-steps", "3"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return Track.load(out / "track.npz").latents()


@pytest.fixture(scope="module")
def without(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> FloatArray:
    """Return the latents of a drag without fused operators."""
    folder = tmp_path_factory.mktemp("without")
    return drag(checkpoint, folder / "caches", folder / "out", **{fused_start.SWITCH: "0"})


@on_linux
@needs_compiler
def test_a_drag_is_the_same_when_they_are_compiled_for_it_and_when_they_were_before(
    checkpoint: Path, without: FloatArray, tmp_path: Path
) -> None:
    caches = tmp_path / "caches"
    first = drag(checkpoint, caches, tmp_path / "first")
    (folder,) = (caches / "draggan" / "operators").iterdir()
    made = {path: path.stat().st_mtime_ns for path in folder.glob("*.*o")}
    assert sorted(path.suffix for path in made) == [".o"] * 4 + [".so", ".so"]
    second = drag(checkpoint, caches, tmp_path / "second")
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.*o")} == made
    assert np.array_equal(first, second)
    # Close but not equal, so the operators were used.
    assert not np.array_equal(first, without)
    # Rounding is 1e-5 for many rows, until a step decides something by a hair.
    share = 5e-3 * np.abs(without).max()
    np.testing.assert_allclose(first, without, atol=share, rtol=0)


@on_linux
def test_without_a_compiler_a_drag_is_as_without_them(
    checkpoint: Path, without: FloatArray, tmp_path: Path
) -> None:
    nowhere = {"PATH": str(tmp_path), "CXX": ""}
    found = drag(checkpoint, tmp_path / "caches", tmp_path / "found", **nowhere)
    assert np.array_equal(found, without)


@on_linux
def test_they_are_kept_in_the_users_folder_for_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "engine.machine.operators.start_fused_operators", lambda *arguments: asked.append(arguments)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    start_operators(torch.device("cpu"))
    assert asked == [(tmp_path / "draggan" / "operators", torch.device("cpu"))]


def test_the_engine_starts_them_for_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(worker, "start_operators", asked.append)
    worker.Worker(JobQueue(), lambda message: None, "cpu", 0)
    assert asked == [torch.device("cpu")]


def test_a_bake_waits_for_them(
    generator: Generator,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = []

    def built_in_time(folder: Path, device: torch.device) -> Path:
        time.sleep(0.3)
        order.append("operators")
        raise BuildError("none")

    monkeypatch.setattr(fused_start, "_PREPARATIONS", {})
    monkeypatch.delenv(fused_start.SWITCH, raising=False)
    monkeypatch.setattr(fused_start, "build", built_in_time)
    fused_start.start_fused_operators(tmp_path, torch.device("cpu"))
    report = BakeReport(on_row=lambda row, solved, is_new: order.append("row"))
    bake(LoadedModel(generator, checkpoint, ""), small_edit(latent), tmp_path, report=report)
    assert order[:2] == ["operators", "row"]
