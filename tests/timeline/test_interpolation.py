# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpolated latents between keys, and the shares of a blend, compared with their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from draggan_blender.timeline.interpolation import KINDS, Latents, between, shares

FRAMES = [1, 10, 12, 30]


def keys(count: int = 4, seed: int = 0) -> Latents:
    return np.random.default_rng(seed).normal(size=(count, 3, 8)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_a_key_is_itself_at_its_frame(self, kind: str) -> None:
        made = between(FRAMES, keys(), FRAMES, kind)
        assert made.dtype == np.float32
        np.testing.assert_array_equal(made, keys())

    def test_the_ends_hold(self, kind: str) -> None:
        made = between(FRAMES, keys(), [-7, 0, 31, 500], kind)
        np.testing.assert_array_equal(made, keys()[[0, 0, 3, 3]])

    def test_one_key_is_a_hold(self, kind: str) -> None:
        made = between([5], keys(1), [1, 5, 9], kind)
        np.testing.assert_array_equal(made, np.repeat(keys(1), 3, axis=0))

    def test_two_equal_keys_are_a_hold_to_the_bit(self, kind: str) -> None:
        moving = keys()
        moving[2] = moving[1]
        made = between([1, 10, 20, 30], moving, range(10, 21), kind)
        np.testing.assert_array_equal(made, np.repeat(moving[1:2], 11, axis=0))

    def test_no_frame_is_far_from_the_next(self, kind: str) -> None:
        made = between(FRAMES, keys(), range(1, 31), kind)
        steps = np.abs(np.diff(made, axis=0)).max(axis=(1, 2))
        # The image changes fastest between the two keys that are two frames apart.
        fastest = np.abs(np.diff(keys(), axis=0)).max()
        assert 0.0 < steps.max() < 0.8 * fastest

    def test_a_zero_latent_can_be_a_key(self, kind: str) -> None:
        made = between([1, 5], np.stack([np.zeros((3, 8)), np.ones((3, 8))]), [3], kind)
        np.testing.assert_allclose(made, 0.5, atol=1e-6)

    @pytest.mark.parametrize("frames", [[1, 1, 2, 3], [4, 3, 2, 1], [1, 2, 3]])
    def test_frames_that_do_not_increase_are_refused(self, kind: str, frames: list[int]) -> None:
        with pytest.raises(ValueError, match="4 keys need as many increasing frames"):
            between(frames, keys(), [1], kind)


def test_linear_has_a_constant_speed() -> None:
    made = between([0, 8], keys(2), range(9), "LINEAR").astype(np.float64)
    np.testing.assert_allclose(
        np.diff(made, axis=0), np.diff(made, axis=0)[:1].repeat(8, 0), atol=1e-6
    )


def test_spherical_turns_evenly_and_changes_its_length_evenly() -> None:
    ends = np.array([[[2.0, 0.0]], [[0.0, 6.0]]], dtype=np.float32)
    made = between([0, 4], ends, range(5), "SPHERICAL")[:, 0]
    np.testing.assert_allclose(
        np.arctan2(made[:, 1], made[:, 0]), np.linspace(0, np.pi / 2, 5), atol=1e-6
    )
    np.testing.assert_allclose(np.hypot(*made.T), np.linspace(2, 6, 5), rtol=1e-6)


def test_spherical_turns_each_layer_separately() -> None:
    both = between(FRAMES, keys(), [5], "SPHERICAL")
    for layer in range(3):
        alone = between(FRAMES, keys()[:, layer : layer + 1], [5], "SPHERICAL")
        np.testing.assert_array_equal(both[:, layer : layer + 1], alone)


def test_opposite_latents_have_no_arc_and_are_interpolated_linearly() -> None:
    ends = np.array([[[1.0, 0.0]], [[-1.0, 0.0]]], dtype=np.float32)
    np.testing.assert_allclose(
        between([0, 4], ends, range(5), "SPHERICAL")[:, 0, 0],
        [1.0, 0.5, 0.0, -0.5, -1.0],
        atol=1e-6,
    )


def test_cubic_never_goes_beyond_the_keys() -> None:
    frames = np.linspace(1, 30, 291)
    made = between(FRAMES, keys(), list(frames), "CUBIC")
    for left, right in ((0, 1), (1, 2), (2, 3)):
        inside = (frames >= FRAMES[left]) & (frames <= FRAMES[right])
        low = np.minimum(keys()[left], keys()[right]) - 1e-5
        high = np.maximum(keys()[left], keys()[right]) + 1e-5
        assert (made[inside] >= low).all()
        assert (made[inside] <= high).all()


def test_cubic_has_one_slope_at_a_key_and_none_at_the_ends() -> None:
    def slope(frame: float, side: float) -> Latents:
        step = 1e-3 * side
        there = between(FRAMES, keys(), [frame + step], "CUBIC")
        return (there - between(FRAMES, keys(), [frame], "CUBIC")) / np.float32(step)

    for frame in FRAMES[1:-1]:
        np.testing.assert_allclose(slope(frame, 1.0), slope(frame, -1.0), atol=0.02)
    assert np.abs(slope(1, 1.0)).max() < 0.01
    assert np.abs(slope(30, -1.0)).max() < 0.01
    # The slopes are not simply all zero.
    rising = np.array([0.0, 1.0, 2.0], dtype=np.float32).reshape(3, 1, 1)
    np.testing.assert_allclose(
        between([0, 10, 20], rising, [9, 11], "CUBIC")[1] - 1.0,
        1.0 - between([0, 10, 20], rising, [9, 11], "CUBIC")[0],
        atol=1e-6,
    )
    assert between([0, 10, 20], rising, [11], "CUBIC")[0, 0, 0] > 1.08


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="LINEAR, SPHERICAL, CUBIC"):
        between(FRAMES, keys(), [1], "QUINTIC")


def test_the_shares_of_a_frame_have_the_sum_1() -> None:
    made = shares(np.array([[1.0, 3.0], [0.0, 0.2], [5.0, 0.0]]))
    np.testing.assert_allclose(made, [[0.25, 0.75], [0.0, 1.0], [1.0, 0.0]])


def test_a_frame_without_weights_has_the_shares_of_the_nearest_frame_before_or_after() -> None:
    weights = np.array([[0, 0], [0, 0], [1, 1], [0, 0], [3, 1], [0, 0]], dtype=np.float64)
    np.testing.assert_allclose(
        shares(weights),
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.75, 0.25], [0.75, 0.25]],
    )


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="every weight is 0"):
        shares(np.zeros((3, 2)))
