# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a picture on Blender's side: what a click means, larger and smaller, and masks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from draggan_blender.scene.part_tree import PartTree
from engine.features.parts import merge_tree

SIZE = 32
# Two discs, (x, y, radius) in cells from the top left, of which one touches the border.
DISCS = ((8.0, 9.0, 3.5), (31.0, 20.0, 4.0))


def _picture() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return ``H x W``: 0 on the background, 1 and 2 on the discs."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    found = np.zeros((SIZE, SIZE), dtype=np.int64)
    for number, (left, top, radius) in enumerate(DISCS, start=1):
        found[np.hypot(x - left, y - top) < radius] = number
    return found


@pytest.fixture(scope="module")
def tree() -> PartTree:
    picture = _picture()
    colours = np.array([[0, 0], [1, 0], [1, 0]], dtype=np.float32)[picture]
    noise = 0.02 * np.random.default_rng(3).standard_normal(colours.shape)
    found = merge_tree((colours + noise).astype(np.float32))
    return PartTree(found.shape, found.parents, found.heights)


@pytest.mark.parametrize("number", [1, 2])
def test_a_click_means_the_one_disc(tree: PartTree, number: int) -> None:
    left, top, _ = DISCS[number - 1]
    nodes, usual = tree.sizes_at((left / SIZE, 1.0 - top / SIZE))
    # The mask has the bottom row first.
    mask = tree.mask(nodes[usual], SIZE, SIZE)[::-1] > 0.5
    disc = _picture() == number
    assert (mask & disc).sum() / (mask | disc).sum() > 0.85


def test_sizes_contain_each_other_up_to_the_whole_picture(tree: PartTree) -> None:
    nodes, usual = tree.sizes_at((8.5 / SIZE, 1.0 - 9.5 / SIZE))
    masks = [tree.mask(node, SIZE, SIZE) for node in nodes]
    assert 0 < usual < len(nodes) - 1
    for inner, outer in pairwise(masks):
        assert (inner <= outer + 1e-5).all()
        assert inner.sum() < outer.sum()
    assert masks[-1].min() == pytest.approx(1.0)
    assert masks[0][SIZE - 10, 8] > 0.3


def test_a_mask_has_a_soft_border_in_any_size(tree: PartTree) -> None:
    nodes, usual = tree.sizes_at((8.5 / SIZE, 1.0 - 9.5 / SIZE))
    mask = tree.mask(nodes[usual], 300, 200)
    assert mask.shape == (200, 300)
    assert mask.dtype == np.float32
    assert 0.0 <= mask.min() < 0.001 and 0.999 < mask.max() <= 1.0
    # A cell is 9 px wide, and nowhere do neighbours differ by more than a part of the way.
    assert np.abs(np.diff(mask, axis=1)).max() < 0.25
    assert mask.mean() == pytest.approx(tree.mask(nodes[usual], SIZE, SIZE).mean(), rel=0.03)


def test_a_margin_reaches_as_far_as_it_says(tree: PartTree) -> None:
    nodes, usual = tree.sizes_at((8.5 / SIZE, 1.0 - 9.5 / SIZE))
    plain = tree.mask(nodes[usual], 128, 128) > 0.5
    wide = tree.mask(nodes[usual], 128, 128, margin=0.1) > 0.5
    assert (wide | ~plain).all()
    columns = [np.flatnonzero(mask.any(axis=0)) for mask in (plain, wide)]
    assert columns[0][0] - columns[1][0] == pytest.approx(0.1 * 128, abs=3)


def test_a_place_outside_is_that_of_the_border(tree: PartTree) -> None:
    assert tree.sizes_at((-0.2, 1.5)) == tree.sizes_at((0.0, 1.0))
    assert tree.sizes_at((2.0, -1.0)) == tree.sizes_at((0.999, 0.001))


def test_a_picture_of_one_cell_has_one_part() -> None:
    tree = PartTree((1, 1), np.array([-1]), np.zeros(0))
    assert tree.sizes_at((0.5, 0.5)) == ([0], 0)
    assert (tree.mask(0, 4, 3) == 1.0).all()


@pytest.mark.parametrize("parents", [[2, 2, 2], [2, 0, -1], [2, 7, -1], [1, -1]])
def test_what_is_no_tree_is_refused(parents: list[int]) -> None:
    with pytest.raises(ValueError, match="tree of parts"):
        PartTree((1, 2), np.array(parents), np.ones(1))
