# SPDX-License-Identifier: GPL-3.0-or-later
"""Masked edits add up to the layers of a picture, and are found in it again."""

from __future__ import annotations

import numpy as np
import pytest

from draggan_blender.protocol.layering import (
    Latent,
    Mask,
    MaskedChange,
    TooManyLayersError,
    composed,
    covered,
    separated,
)
from draggan_blender.protocol.pictures import PictureLayer, decode_picture

BASE = np.arange(8, dtype=np.float32).reshape(2, 4)


def _mask(left: int, right: int) -> Mask:
    mask = np.zeros((4, 12), np.uint8)
    mask[:, left:right] = 255
    return mask


def _edit(value: float, left: int, right: int, softness: float = 1.0) -> MaskedChange:
    change: Latent = np.full(BASE.shape, value, np.float32)
    return MaskedChange(mask=_mask(left, right), softness=softness, change=change)


LEFT, RIGHT, OVER, INSIDE = _edit(1, 0, 4), _edit(2, 8, 12), _edit(4, 2, 10), _edit(8, 1, 3)


def _added(layer: PictureLayer) -> float:
    """Return what a layer adds to the image; all tests add the same to each number."""
    return float((np.frombuffer(layer.latent, "<f4").reshape(BASE.shape) - BASE)[0, 0])


def test_edits_side_by_side_are_layers_of_their_own() -> None:
    picture = decode_picture(composed(BASE, [LEFT, RIGHT]))
    assert picture.latent == BASE.tobytes()
    assert [_added(layer) for layer in picture.layers] == [1, 2]
    assert not any(layer.clipped for layer in picture.layers)
    assert composed(BASE, []) == BASE.tobytes()


def test_overlapping_edits_add_up() -> None:
    layers = decode_picture(composed(BASE, [LEFT, RIGHT, OVER])).layers
    assert [layer.clipped for layer in layers] == [False, False, False, True, True]
    assert [_added(layer) for layer in layers] == [1, 2, 4, 5, 6]


def test_an_edit_inside_of_another_one_adds_to_it() -> None:
    layers = decode_picture(composed(BASE, [LEFT, INSIDE])).layers
    assert [(_added(layer), layer.clipped) for layer in layers] == [(1, False), (9, False)]


@pytest.mark.parametrize(
    "edits", [[], [LEFT], [LEFT, RIGHT, OVER], [OVER, LEFT, INSIDE], [INSIDE, LEFT, OVER, RIGHT]]
)
def test_edits_are_found_again_in_their_picture(edits: list[MaskedChange]) -> None:
    base, found = separated(composed(BASE, edits), 4)
    np.testing.assert_array_equal(base, BASE)
    assert len(found) == len(edits)
    for one, other in zip(found, edits, strict=True):
        assert one.has_place_of(other)
        np.testing.assert_array_equal(one.change, other.change)


def test_an_edit_has_the_place_of_another_with_its_mask_and_softness() -> None:
    assert LEFT.has_place_of(_edit(5, 0, 4))
    assert not LEFT.has_place_of(_edit(1, 0, 4, softness=2.0))
    assert not LEFT.has_place_of(_edit(1, 0, 5))


def test_a_picture_is_covered_by_what_it_shows() -> None:
    (layer,) = covered(BASE, [], LEFT.mask, 3.0)
    np.testing.assert_array_equal(layer.latent, BASE)
    assert layer.softness == 3.0 and not layer.clipped


def test_five_masks_may_lie_over_each_other_and_any_number_beside_each_other() -> None:
    edits = [_edit(1, number, 12 - number) for number in range(5)]
    assert len(decode_picture(composed(BASE, edits[::-1])).layers) == 31
    with pytest.raises(TooManyLayersError, match="too many masks lie over each other"):
        composed(BASE, [*edits[::-1], _edit(1, 0, 12, softness=2.0)])
    beside = [_edit(1, number, number + 1) for number in range(12)]
    assert len(decode_picture(composed(BASE, beside)).layers) == 12
