# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks that grow along a pull."""

from __future__ import annotations

import numpy as np
import pytest

from draggan_blender.protocol.mask_room import Mask, with_room


def _disc(size: int, centre: tuple[float, float], radius: float) -> Mask:
    y, x = np.mgrid[:size, :size] + 0.5
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    return np.where(inside, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("way", [(40, 0), (0, -30), (25, 25), (-33, 12), (7, -41)])
def test_what_is_pulled_has_the_room_that_it_had_at_each_place_on_its_way(
    way: tuple[int, int],
) -> None:
    start = (60.0, 64.0)
    mask = _disc(128, start, 12)
    grown = with_room(mask, [(start, (start[0] + way[0], start[1] + way[1]))])
    for share in np.linspace(0, 1, 33):
        # Two pixels less, because the way is made of whole pixels.
        there = _disc(128, (start[0] + share * way[0], start[1] + share * way[1]), 10)
        assert not np.any((there > 0) & (grown == 0)), share
    end = _disc(128, (start[0] + way[0], start[1] + way[1]), 11)
    assert not np.any((end > 0) & (grown == 0))
    # Away from the way nothing is added: the area is that of the mask and of what it has swept.
    swept = (mask > 0).sum() + 2 * 12 * np.hypot(*way)
    assert (grown > 0).sum() < 1.15 * swept


def test_a_handle_outside_the_mask_and_a_target_at_its_handle_add_nothing() -> None:
    mask = _disc(64, (20, 20), 8)
    assert with_room(mask, [((50, 50), (10, 50))]) is mask
    assert with_room(mask, [((20, 20), (20.5, 20))]) is mask


def test_a_target_outside_the_image_adds_what_is_inside() -> None:
    mask = _disc(64, (20, 20), 8)
    grown = with_room(mask, [((20, 20), (200, 20)), ((20, 20), (-90, -90))])
    assert grown.shape == mask.shape
    assert grown[20, 63]


def test_in_advance_the_mask_is_the_same_for_near_targets() -> None:
    mask = _disc(128, (60, 64), 12)
    ways = [[((60.0, 64.0), (60.0 + by, 64.0))] for by in (11.0, 12.0, 14.0)]
    first, second, third = (with_room(mask, way, in_advance=True) for way in ways)
    assert np.array_equal(first, third)
    assert np.array_equal(first, second)
    assert np.all(first >= with_room(mask, ways[2]))


def test_grey_values_move_along() -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[10:13, 10:13] = 100
    grown = with_room(mask, [((11, 11), (21, 11))])
    assert grown[11, 20] == 100
    assert grown.max() == 100
