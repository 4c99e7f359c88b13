# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np

from draggan_blender.protocol.directions import added, moved, on_layers
from draggan_blender.protocol.layering import MaskedChange, composed, separated

NUM_WS, W_DIM = 4, 3
SHAPE = (NUM_WS, W_DIM)


def test_a_change_reaches_its_layers_only() -> None:
    one = np.array([[1, 2, 3]], np.float32)
    whole = on_layers(one, NUM_WS, 1, 2)
    np.testing.assert_array_equal(whole, [[0] * 3, [1, 2, 3], [1, 2, 3], [0] * 3])
    each = np.arange(12, dtype=np.float32).reshape(SHAPE)
    np.testing.assert_array_equal(on_layers(each, NUM_WS, 2, 99)[:2], 0)
    np.testing.assert_array_equal(on_layers(each, NUM_WS, 2, 99)[2:], each[2:])


def test_changes_add_up() -> None:
    one, two = np.eye(4, 3, dtype=np.float32), np.ones(SHAPE, np.float32)
    np.testing.assert_allclose(added([(2.0, one), (-0.5, two)], SHAPE), 2 * one - 0.5 * two)
    assert not added([], SHAPE).any()


def test_masked_edits_stay_over_a_picture_that_moves() -> None:
    source = np.random.default_rng(0)
    base = source.normal(size=SHAPE).astype(np.float32)
    masks = np.zeros((2, 6, 6), np.uint8)
    masks[0, :4], masks[1, 2:] = 255, 255  # they overlap
    edits = [
        MaskedChange(mask=mask, softness=1.0, change=source.normal(size=SHAPE).astype(np.float32))
        for mask in masks
    ]
    change = source.normal(size=SHAPE).astype(np.float32)
    there, found = separated(moved(composed(base, edits), change), W_DIM)
    np.testing.assert_allclose(there, base + change, atol=1e-6)
    for one, other in zip(found, edits, strict=True):
        np.testing.assert_allclose(one.change, other.change, atol=1e-5)
        assert one.has_place_of(other)


def test_no_change_is_the_same_picture_to_the_bit() -> None:
    latent = np.array([[1.5, -0.0, 3]] * 4, np.float32).tobytes()
    assert moved(latent, np.zeros(SHAPE, np.float32)) == latent
