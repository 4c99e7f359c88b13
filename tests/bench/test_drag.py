# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``drag``: one pair of the built-in model from start to end, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.models import model_path, sample_latent
from stylegan2 import load_generator
from tools.bench.drag import main
from tools.bench.pairs import TRUNCATION_PSI
from tools.bench.process import ROOT
from tools.bench.results import decode_latent

ONE_DRAG = ("--pairs", "1", "--settings", "1", "--rows", "no edit,ours", "--no-write")


def test_one_pair_is_measured_and_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*ONE_DRAG, "--workers", "1", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench", "drag", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (kept,) = tmp_path.iterdir()
    lines = kept.read_text(encoding="utf-8").splitlines()
    still, dragged = (json.loads(line) for line in lines)
    _check_the_image_that_stays(still)
    before, after = still["measures"], dragged["measures"]
    assert (before["reached"], before["steps"]) == (0, 0)
    assert after["reached"] == 1 and 0 < after["steps"] < 30
    # Measured by the detector in the image, and not only by the engine's own tracking.
    assert after["md"] < 2.0 < before["md"]

    assert main(arguments) == 0
    assert kept.read_text(encoding="utf-8").splitlines() == lines
    printed = capsys.readouterr().out
    assert printed.strip() and printed.strip() in done.stdout
    assert f"{after['md']:.2f}" in printed


def _check_the_image_that_stays(result: dict[str, Any]) -> None:
    """Check that, without an edit, the end is the start: a seed of the list ``choosing``."""
    generator = load_generator(model_path("suzanne"))
    latent = decode_latent(result["latent"], (generator.num_ws, generator.w_dim))
    starts = [sample_latent(generator, seed, TRUNCATION_PSI) for seed in range(100_000, 100_064, 2)]
    assert any(np.allclose(latent, start, atol=1e-5) for start in starts)
    assert result["measures"]["border"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--rows", "ours,magic"], "there is no row 'magic'"),
        (["--row", "mine:speed=2"], "a drag has no option 'speed'"),
        (["--rows", "ours", "--row", "ours:r1=2"], "two rows have the same name"),
        (["--settings", "1,5"], "the setting must be one of"),
        (["--model", "no/such.pkl"], "such.pkl"),
        (["--detector", "no/such.safetensors"], "such.safetensors"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_sentence_before_the_first_drag(
    arguments: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--pairs", "1", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
