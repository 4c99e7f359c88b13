# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles that were lost, where the landmark detector knows the truth; and the benchmark of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.features.source import feature_block, grid_of
from engine.models import ModelCache, sample_latent
from engine.output.render import render_frames
from engine.solving.lost import find_lost
from engine.solving.options import DragOptions
from engine.solving.pair_points import Known
from engine.solving.structure import is_flat, structure_at
from engine.solving.supervision import disc_offsets
from stylegan2 import Generator
from tools.bench.landmarks import Detector
from tools.bench.lost import Told, background_drag, report
from tools.bench.pairs import Pair, find_pairs

TOLD = Told(
    kind="ordinary",
    pair=4,
    landmarks=("nose",),
    is_told=False,
    off_px=0.5,
    unsure_px=0.2,
    steps=3,
    seconds=(0.2, 0.1),
)


@pytest.fixture(scope="module")
def suzanne() -> Generator:
    return ModelCache(torch.device("cpu")).get("suzanne").generator


def _lost(generator: Generator, seeds: tuple[int, int], off_px: float) -> tuple[bool, ...]:
    """Return which landmarks are lost from one seed to another, if tracked this far off."""
    latents = [sample_latent(generator, seed, 0.7) for seed in seeds]
    images = np.stack(list(render_frames(generator, np.stack(latents))))
    starts, ends = Detector.load().detect(images).points_px.astype(np.float32)
    way = np.array([64.0, 64.0], np.float32) - ends
    tracked: FloatArray = ends + off_px * way / np.linalg.norm(way, axis=1, keepdims=True)
    first = torch.from_numpy(latents[0])
    known = [Known(first, 0.0, start[None], np.zeros((1, 2), np.float32)) for start in starts]
    grid = grid_of(generator, feature_block(generator))
    last = torch.from_numpy(latents[1])
    return find_lost(generator, DragOptions(), grid, known, None, tracked, last)


# In the first, an ear turns away; in the second, the head hardly moves, so that places near the
# landmarks stay where they were.
@pytest.mark.parametrize("seeds", [(100_048, 100_049), (100_028, 100_029)])
def test_landmarks_of_another_image_are_not_lost_and_places_beside_them_are(
    suzanne: Generator, seeds: tuple[int, int]
) -> None:
    assert not any(_lost(suzanne, seeds, 0.0))
    assert all(_lost(suzanne, seeds, 12.0))


def test_the_background_of_the_benchmark_cannot_be_followed(suzanne: Generator) -> None:
    grid = grid_of(suzanne, 128)
    for pair in find_pairs(suzanne, Detector.load(), "choosing", 3):
        place = background_drag(pair)
        assert place is not None
        handle, target = place
        assert np.linalg.norm(target - handle) == pytest.approx(20, abs=1e-3)
        points = grid.to_feature(torch.from_numpy(handle[None]))
        latent = torch.from_numpy(pair.latents[0])
        assert bool(is_flat(structure_at(suzanne, 128, latent, points, disc_offsets(3.0))))


def test_a_picture_without_plain_background_has_no_such_drag() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    none = np.zeros((2, 7, 2), np.float32)
    pair = Pair(0, (0, 1), np.zeros((2, 1, 1), np.float32), noise, none)
    assert background_drag(pair) is None


def test_the_report_names_false_alarms_and_what_was_missed() -> None:
    rows = [
        TOLD,
        replace(TOLD, pair=5, is_told=True),
        replace(TOLD, pair=6, off_px=4.0, is_told=True),
        replace(TOLD, pair=7, off_px=9.0),
        replace(TOLD, pair=8, kind="background", landmarks=(), off_px=math.nan),
    ]
    lines = report(rows)
    assert "| ordinary | 4 | 2 | 1 of 2 | 1 of 1 | 0 of 1 |" in lines
    assert [line.split(",")[:2] for line in lines if line.startswith(("false", "missed"))] == [
        ["false alarm: ordinary", " pair 5"],
        ["missed: ordinary", " pair 7"],
        ["missed: background", " pair 8"],
    ]
    assert "0.8 s of CPU with the checks, 0.4 s without" in "\n".join(lines)
