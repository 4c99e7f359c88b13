# SPDX-License-Identifier: GPL-3.0-or-later
"""The built-in model is dragged with the default settings, as a new user does first."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from engine.drag import DragStatus, drag
from engine.drag_options import METHOD_NAMES, DragOptions
from engine.models import model_path, sample_latent
from engine.render import render_images
from stylegan2 import load_generator

from .client import ROOT

NOSE_PX = np.array([[32.0, 37.0]])
"""In the average image (truncation 0), where the head looks at us."""


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("way_px", [(-8.0, 0.0), (8.0, 0.0)])
def test_the_head_follows_its_nose_and_the_background_stays(
    way_px: tuple[float, float], method: str
) -> None:
    generator = load_generator(model_path("suzanne"))
    latent = sample_latent(generator, 0, 0.0)
    result = drag(generator, latent, NOSE_PX, NOSE_PX + way_px, DragOptions(method=method))
    assert result.status is DragStatus.REACHED, result.reason
    before, after = render_images(generator, torch.from_numpy(result.latents[[0, -1]])).astype(int)
    border = np.ones((64, 64), dtype=bool)
    border[3:-3, 3:-3] = False
    assert np.abs(after - before)[border].mean() < 3
    found = NOSE_PX[0] + _way_of_nose(before, after)
    assert np.linalg.norm(found - (NOSE_PX[0] + way_px)) <= 3


def _way_of_nose(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far (x, y) the nose has gone, by comparing pictures: whole pixels, no features."""
    nose = before[33:41, 27:37]
    costs = {
        (x, y): np.abs(after[33 + y : 41 + y, 27 + x : 37 + x] - nose).mean()
        for x in range(-14, 15)
        for y in range(-10, 11)
    }
    return np.array(min(costs, key=lambda way: costs[way]))


def test_the_benchmark_measures_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench", "--row", "suzanne", "--steps", "2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["image_px"] == row["feature_px"] == 64
    assert 0 < row["step_s"] < 60 and row["device"] == "cpu"
