# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of the parts of a picture: the same joins as one by one, connected, for any picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from draggan_blender.protocol.layering import Layer
from draggan_blender.scene.part_tree import PartTree
from engine.arrays import FloatArray
from engine.features.parts import find_parts, merge_tree
from engine.models import sample_latent
from engine.pictures import OpenPicture, Picture
from stylegan2 import Generator, load_generator
from stylegan2.models import builtin_model_path


def _regions(values: NDArray[np.int64]) -> set[frozenset[int]]:
    """Return the connected regions of equal values, of more than one place."""
    height, width = values.shape
    label = np.arange(height * width).reshape(height, width)
    while True:
        before = label.copy()
        for axis in (0, 1):
            ends, starts = (np.delete(label, side, axis) for side in (0, -1))
            same = np.diff(values, axis=axis) == 0
            least = np.where(same, np.minimum(ends, starts), label.size)
            for part, moved in ((slice(1, None), ends), (slice(None, -1), starts)):
                index = (part, slice(None)) if axis == 0 else (slice(None), part)
                label[index] = np.minimum(label[index], np.minimum(moved, least))
        if (label == before).all():
            break
    found = (frozenset(np.flatnonzero(label == value).tolist()) for value in np.unique(label))
    return {region for region in found if len(region) > 1}


def _areas(features: FloatArray) -> set[frozenset[int]]:
    tree = merge_tree(features)
    cells = features.shape[0] * features.shape[1]
    inside: list[set[int]] = [{cell} for cell in range(cells)] + [set() for _ in range(cells - 1)]
    for node, parent in enumerate(tree.parents[:-1]):
        inside[parent] |= inside[node]
    return {frozenset(area) for area in inside[cells:]}


@pytest.mark.parametrize("seed", range(6))
def test_each_region_of_alike_places_is_an_area(seed: int) -> None:
    source = np.random.default_rng(seed)
    values = source.integers(0, 3, (7, 6))
    features = values[:, :, None] + 0.001 * source.standard_normal((7, 6, 3))
    assert _regions(values) <= _areas(features.astype(np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_areas_are_connected(seed: int) -> None:
    features = np.random.default_rng(seed).standard_normal((5, 8, 4)).astype(np.float32)
    for area in _areas(features):
        values = np.zeros(40, dtype=np.int64)
        values[list(area)] = 1
        assert area in _regions(values.reshape(5, 8))


def test_nodes_rise_and_heights_do_not_fall() -> None:
    features = np.random.default_rng(5).standard_normal((9, 16, 6)).astype(np.float32)
    tree = merge_tree(features)
    cells = 9 * 16
    assert tree.parents[-1] == -1
    assert (tree.parents[:-1] > np.arange(2 * cells - 2)).all()
    assert (np.bincount(tree.parents[:-1])[cells:] == 2).all()
    for node in range(cells, 2 * cells - 2):
        assert tree.heights[tree.parents[node] - cells] >= tree.heights[node - cells]


def test_equal_places_and_a_single_one_make_a_tree() -> None:
    assert merge_tree(np.zeros((5, 3, 2), dtype=np.float32)).parents[-1] == -1
    assert merge_tree(np.zeros((1, 1, 2), dtype=np.float32)).parents.tolist() == [-1]


@pytest.fixture(scope="module")
def suzanne() -> Generator:
    path = builtin_model_path("suzanne")
    assert path is not None
    return load_generator(path)


def test_the_background_and_the_head_are_parts(suzanne: Generator) -> None:
    latent = torch.from_numpy(sample_latent(suzanne, 905, 0.7))
    found = find_parts(suzanne, latent)
    assert found.shape == (64, 64)
    tree = PartTree(found.shape, found.parents, found.heights)
    # One of the two is joined with the other at last.
    corner, middle = (tree.sizes_at(uv)[0] for uv in ((0.02, 0.98), (0.5, 0.5)))
    assert corner[-1] == middle[-1]
    background = max(tree.mask(node, 64, 64)[:, :2].min() for node in corner[:-1])
    assert background > 0.9  # a whole edge of the picture
    assert max(tree.mask(node, 64, 64)[32, 32] for node in corner[:-1]) < 0.1


def test_a_layer_changes_the_parts(suzanne: Generator) -> None:
    below, above = (sample_latent(suzanne, seed, 0.7) for seed in (901, 905))
    white = np.full((128, 128), 255, dtype=np.uint8)
    picture = Picture(below, (Layer(mask=white, softness=0.0, latent=above),))
    canvas = OpenPicture(picture).canvas(suzanne)
    layered = find_parts(suzanne, torch.from_numpy(below), canvas)
    alone = find_parts(suzanne, torch.from_numpy(above))
    other = find_parts(suzanne, torch.from_numpy(below))
    assert np.array_equal(layered.parents, alone.parents)
    assert not np.array_equal(layered.parents, other.parents)
