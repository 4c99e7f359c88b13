# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoothing removes jitter and keeps poses, holds and ends."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.baking.smoothing import frames_that_stay, smooth

FRAMES = 60


@pytest.fixture
def jittery() -> FloatArray:
    """Return a slow wave with noise that rests for ten frames, ``60 x 3``."""
    time = np.concatenate([np.arange(25), np.full(10, 25), np.arange(26, 51)])[:, None]
    noise = np.random.default_rng(1).normal(size=(FRAMES, 3)) * 0.05
    values: FloatArray = (np.sin(time / 9 + np.arange(3)) + noise).astype(np.float32)
    values[25:35] = values[25]
    return values


def _jitter(values: FloatArray) -> float:
    return float(np.abs(np.diff(values, n=2, axis=0)).mean())


def test_poses_holds_and_ends_stay_to_the_bit(jittery: FloatArray) -> None:
    stay = frames_that_stay(jittery, (12, 50, 999))
    assert stay.tolist() == [0, 12, *range(25, 35), 50, 59]
    smoothed = smooth(jittery, 2.0, stay)
    assert np.array_equal(smoothed[stay], jittery[stay])
    assert not np.array_equal(smoothed, jittery)


def test_jitter_goes_down_and_the_motion_stays(jittery: FloatArray) -> None:
    stay = frames_that_stay(jittery, ())
    smoothed = smooth(jittery, 2.0, stay)
    moving = slice(0, 25)
    assert _jitter(smoothed[moving]) < 0.3 * _jitter(jittery[moving])
    assert np.abs(smoothed - jittery).max() < 0.2


def test_a_straight_motion_is_as_it_was() -> None:
    line = np.linspace(0, 1, FRAMES, dtype=np.float32)[:, None]
    smoothed = smooth(line, 3.0, frames_that_stay(line, (20,)))
    assert np.abs(smoothed - line).max() < 1e-6


def test_far_from_what_stays_it_is_a_gaussian() -> None:
    pulse = np.zeros((101, 1), np.float32)
    pulse[50] = 1.0
    offsets = np.arange(-50, 51)
    gaussian = np.exp(-0.5 * (offsets / 4.0) ** 2) / (4.0 * np.sqrt(2 * np.pi))
    smoothed = smooth(pulse, 4.0, np.array([0, 100]))
    assert np.abs(smoothed[:, 0] - gaussian).max() < 1e-6


def test_many_columns_are_smoothed_like_one(jittery: FloatArray) -> None:
    wide = np.tile(jittery, (1, 2000))
    stay = frames_that_stay(jittery, (7,))
    assert np.array_equal(smooth(wide, 1.5, stay)[:, -3:], smooth(jittery, 1.5, stay))


@pytest.mark.parametrize("frames", [1, 2])
def test_a_frame_or_two_stay_as_they_are(frames: int) -> None:
    values = np.arange(frames * 2, dtype=np.float32).reshape(frames, 2)
    assert np.array_equal(smooth(values, 5.0, frames_that_stay(values, ())), values)


def test_a_track_without_changed_layers_can_be_smoothed() -> None:
    values = np.empty((5, 0), np.float32)
    assert smooth(values, 1.0, frames_that_stay(values, ())).shape == (5, 0)
