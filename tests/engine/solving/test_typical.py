# SPDX-License-Identifier: GPL-3.0-or-later
"""How typical a latent is of its model, and the nearest one that is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.models import sample_latent
from engine.solving.principal import principal_components
from engine.solving.typical import distance, pulled_back
from stylegan2 import Generator


def _at(generator: Generator, sigmas: FloatArray) -> FloatArray:
    """Return the latent of coordinates in standard deviations, ``num_ws x K``."""
    components = principal_components(generator)
    found: FloatArray = components.mean.numpy() + sigmas @ components.scaled().numpy()
    return found.astype(np.float32)


def test_the_distance_of_a_usual_image_is_1(generator: Generator) -> None:
    found = [distance(generator, sample_latent(generator, seed, 1.0)) for seed in range(200)]
    assert math.sqrt(np.square(found).mean()) == pytest.approx(1.0, abs=0.15)
    assert distance(generator, sample_latent(generator, 1, 0.5)) < 0.8


def test_what_is_typical_stays(generator: Generator) -> None:
    count = len(principal_components(generator).sigmas)
    one = np.zeros((generator.num_ws, count), np.float32)
    one[:, 1] = 0.9 * math.sqrt(count)
    latent = _at(generator, one)
    np.testing.assert_allclose(pulled_back(generator, latent), latent, atol=1e-4)
    assert distance(generator, latent) == pytest.approx(0.9, abs=1e-3)


def test_what_is_far_comes_to_the_border_and_layers_come_together(generator: Generator) -> None:
    count = len(principal_components(generator).sigmas)
    far = np.zeros((generator.num_ws, count), np.float32)
    far[:, 0], far[0, 2] = 3 * math.sqrt(count), 2.0
    latent = _at(generator, far)
    found = pulled_back(generator, latent)
    assert np.abs(found - found[0]).max() == 0.0
    assert distance(generator, found) == pytest.approx(1.0, abs=1e-3)
    assert distance(generator, latent) > 2.9
    # The direction from the mean stays that of the mean of the layers.
    mean = principal_components(generator).mean.numpy()
    one, other = found[0] - mean, latent.mean(axis=0) - mean
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) == pytest.approx(1, abs=1e-4)
