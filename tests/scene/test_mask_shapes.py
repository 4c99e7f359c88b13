# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes and filters of masks, compared with their definitions pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from draggan_blender.scene import mask_shapes

WIDTH, HEIGHT = 20, 12


def random_mask(seed: int = 3) -> mask_shapes.Mask:
    values = np.random.default_rng(seed).random((HEIGHT, WIDTH)).astype(np.float32)
    return np.where(values > 0.9, values, 0.0).astype(np.float32)


def grown_slowly(mask: mask_shapes.Mask, radius: int) -> mask_shapes.Mask:
    """Return the maximum over a disc, pixel by pixel."""
    grown = np.zeros_like(mask)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for v in range(HEIGHT):
                for u in range(WIDTH):
                    if (u - x) ** 2 + (v - y) ** 2 <= (radius + 0.5) ** 2:
                        grown[y, x] = max(grown[y, x], mask[v, u])
    return grown


def test_a_rectangle_covers_the_pixels_whose_centres_are_inside() -> None:
    corners = [(0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0)]
    expected = np.zeros((HEIGHT, WIDTH))
    expected[6:, 5:15] = 1.0  # the bottom row is first
    assert (mask_shapes.polygon(corners, WIDTH, HEIGHT) == expected).all()
    assert (mask_shapes.polygon(corners[::-1], WIDTH, HEIGHT) == expected).all()


def test_a_triangle_is_that_of_its_three_lines() -> None:
    corners = np.array([(-0.2, 0.1), (1.3, 0.35), (0.4, 1.2)])
    x = (np.arange(WIDTH) + 0.5)[None, :] / WIDTH
    y = (np.arange(HEIGHT) + 0.5)[:, None] / HEIGHT
    sides = []
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        sides.append((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0.0)
    expected = np.logical_and.reduce(sides)
    found = mask_shapes.polygon(corners, WIDTH, HEIGHT)
    assert 50 < expected.sum() < WIDTH * HEIGHT
    assert (found == expected).all()


def test_what_is_enclosed_twice_is_outside() -> None:
    star = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.3, 0.9), (0.3, 0.3), (0.6, 0.3), (0.6, 1.0)]
    # The inner rectangle runs round the same way.
    inner = [(0.1, 1.0)]
    found = mask_shapes.polygon([*star, *inner], WIDTH, HEIGHT)
    assert found[int(0.2 * HEIGHT), int(0.5 * WIDTH)] == 1.0
    assert found[int(0.6 * HEIGHT), int(0.45 * WIDTH)] == 0.0


@pytest.mark.parametrize(
    "corners", [[(0.0, 0.0), (1.0, 1.0)], [(0.0, 0.0), (1.0, 0.0), (np.nan, 1)]]
)
def test_a_polygon_without_an_area_is_refused(corners: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="polygon"):
        mask_shapes.polygon(corners, WIDTH, HEIGHT)


def test_a_strip_reaches_as_far_as_its_distance_in_its_own_space() -> None:
    # u is stretched to 4 units, v to 2: discs of this space are not discs of the pixels.
    uv_to_space = np.array([[4.0, 0.0], [0.0, 2.0], [-2.0, -1.0]])
    found = mask_shapes.strips([((-1.0, 0.0), (0.5, 0.0), 0.5)], 80, 40, uv_to_space)
    x = -2.0 + 4.0 * (np.arange(80) + 0.5)[None, :] / 80
    y = -1.0 + 2.0 * (np.arange(40) + 0.5)[:, None] / 40
    expected = np.hypot(x - np.clip(x, -1.0, 0.5), y) <= 0.5
    assert (found == expected).all()


def test_shapes_replace_add_and_subtract() -> None:
    mask = np.array([[0.0, 0.5, 1.0, 1.0]], dtype=np.float32)
    shape = np.array([[1.0, 1.0, 1.0, 0.0]], dtype=np.float32)
    assert mask_shapes.combine(mask, shape, "REPLACE").tolist() == [[1.0, 1.0, 1.0, 0.0]]
    assert mask_shapes.combine(mask, shape, "ADD").tolist() == [[1.0, 1.0, 1.0, 1.0]]
    assert mask_shapes.combine(mask, shape, "SUBTRACT").tolist() == [[0.0, 0.0, 0.0, 1.0]]


def test_without_a_mask_adding_starts_one_and_subtracting_leaves_the_rest_free() -> None:
    shape = np.array([[1.0, 0.0]], dtype=np.float32)
    assert mask_shapes.combine(None, shape, "ADD").tolist() == [[1.0, 0.0]]
    assert mask_shapes.combine(None, shape, "SUBTRACT").tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("radius", [1, 2, 3, 7, 30])
def test_growing_takes_the_maximum_over_a_disc(radius: int) -> None:
    mask = random_mask()
    assert (mask_shapes.grow(mask, radius) == grown_slowly(mask, radius)).all()


def test_shrinking_grows_the_black() -> None:
    mask = 1.0 - random_mask()
    assert np.allclose(mask_shapes.shrink(mask, 2), 1.0 - grown_slowly(1.0 - mask, 2))


def test_softening_keeps_flat_areas_and_the_middle_of_a_border() -> None:
    mask = np.zeros((40, 60), dtype=np.float32)
    mask[:, 30:] = 1.0
    soft = mask_shapes.soften(mask, 8)
    assert (soft[:, :15] == 0.0).all()
    assert np.allclose(soft[:, 45:], 1.0)
    assert np.allclose(soft[:, 29] + soft[:, 30], 1.0)
    assert (np.diff(soft, axis=1) > -1e-6).all()
    # A wider radius gives a wider border.
    wide = mask_shapes.soften(mask, 16)
    assert ((wide > 0.05) & (wide < 0.95)).sum() > 1.5 * ((soft > 0.05) & (soft < 0.95)).sum()
