# SPDX-License-Identifier: GPL-3.0-or-later
"""``dev.py bench bake --scenes``: warm frames compared with cold drags."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from engine.models import sample_latent
from stylegan2 import Generator
from tools.bench import bake_scenes
from tools.bench.bake_scenes import CIRCLE, MOTIONS, SCENES, Scene, SceneResult
from tools.bench.landmarks import LANDMARKS
from tools.bench.pairs import Pair

SCENE = Scene(0, 2, "eased", 1.0)
RESULT = SceneResult(
    scene=SCENE,
    warm_steps=[1, 0, 0, 1],
    moving=[True, False, False, True],
    cold_steps=[3, 5],
    distances_px=[0.1, 0.3],
    shakes_px=[0.3, 0.4],
    cold_distances_px=[0.2],
)


@pytest.fixture(scope="module")
def pair(generator: Generator) -> Pair:
    """Return a pair of the tiny generator whose landmarks are 1.5 px apart in the two images."""
    size_px = generator.img_shape[1]
    places = np.linspace(0.3, 0.6, 2 * len(LANDMARKS)).reshape(-1, 2).astype(np.float32) * size_px
    return Pair(
        index=0,
        seeds=(1, 2),
        latents=np.stack([sample_latent(generator, seed, 0.7) for seed in (1, 2)]),
        images=np.zeros((2, size_px, size_px, 3), np.uint8),
        points_px=np.stack([places, places + np.array([0.9, 1.2], dtype=np.float32)]),
    )


def test_the_scenes_are_of_all_kinds() -> None:
    assert {scene.motion for scene in SCENES} == {*MOTIONS, CIRCLE}
    assert {scene.handles for scene in SCENES} == {1, 2, 3}
    assert len({scene.pair for scene in SCENES}) == len(SCENES) == 12


def test_a_quarter_of_the_frames_hold() -> None:
    times = bake_scenes.times()
    assert len(times) == 48 and times[-1] == 1.0
    assert [len(list(group)) for _, group in groupby(times)] == [1] * 23 + [13] + [1] * 12


@pytest.mark.parametrize("motion", [*MOTIONS, CIRCLE])
def test_no_motion_goes_farther_than_its_scene_says(
    generator: Generator, pair: Pair, motion: str
) -> None:
    scene = replace(SCENE, motion=motion)
    edit = bake_scenes.edit_of(generator, scene, pair, np.linspace(0, 1, 97).tolist())
    ways = np.linalg.norm(edit.targets_px - edit.handles_px, axis=2)
    assert ways[0] == pytest.approx(0, abs=1e-4) and ways.max() == pytest.approx(1.5, abs=1e-3)


def test_a_scene_is_baked_and_dragged_to(generator: Generator, pair: Pair) -> None:
    result = bake_scenes.measure_scene(generator, SCENE, pair)
    assert len(result.warm_steps) == len(result.moving) == 47
    assert sum(result.moving) == 35 and len(result.cold_steps) == 7
    assert len(result.distances_px) == 36 * 2 and len(result.shakes_px) == 46 * 2
    assert len(result.cold_distances_px) == 7 * 2


def test_a_handle_at_a_constant_distance_from_its_target_does_not_shake() -> None:
    errors = np.zeros((5, 2, 2), np.float32)
    errors[:, 0] = 1.0
    assert not bake_scenes.shakes_of(errors).any()
    errors[2, 1] = (0.3, 0.4)
    np.testing.assert_allclose(bake_scenes.shakes_of(errors).max(), 0.5)


def test_the_summary_lists_moving_frames_separately() -> None:
    figures = bake_scenes.summary([RESULT])
    assert (figures["steps"], figures["moving"], figures["cold"]) == (0.5, 1.0, 4.0)
    assert (figures["ratio"], figures["moving_ratio"]) == (0.125, 0.25)
    assert figures["shake"] == pytest.approx(0.3536, abs=1e-4)
    cells = bake_scenes.line_of("all", "", [RESULT, RESULT]).split()
    assert cells[:6] == ["all", "0.50", "1.00", "4.00", "0.12", "0.25"]
    assert len(bake_scenes.heading().split("  ")) > len(cells)
