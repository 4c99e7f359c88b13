# SPDX-License-Identifier: GPL-3.0-or-later
"""How far pictures are from renders: the distance between sets, and the detector's own error."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engine.models import model_path, sample_latent
from stylegan2 import load_generator
from tools.bench.landmarks import Detector, LandmarkNet
from tools.suzanne.card import expected_error_px
from tools.suzanne.feature_distance import feature_distance, features, frechet_distance


def test_the_distance_of_normal_distributions_is_the_known_one() -> None:
    source = torch.Generator().manual_seed(0)
    first = torch.randn(200_000, 2, generator=source, dtype=torch.float64)
    scales = torch.tensor([2.0, 0.5], dtype=torch.float64)
    second = first.flip(0) * scales + torch.tensor([3.0, 0.0], dtype=torch.float64)
    # Means 3 apart, and standard deviations 1 and 2, 1 and 0.5.
    assert frechet_distance(first, second) == pytest.approx(9.0 + 1.0 + 0.25, rel=0.02)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-6)


def test_pictures_of_another_kind_are_farther_away() -> None:
    torch.manual_seed(0)
    network = LandmarkNet().eval()
    pictures = torch.rand(60, 3, 64, 64) * 2.0 - 1.0
    assert features(network, pictures).shape == (60, 128)
    assert feature_distance(network, pictures, pictures) == pytest.approx(0.0, abs=1e-4)
    near = feature_distance(network, pictures[:30], pictures[30:])
    assert feature_distance(network, pictures[:30] * 0.5, pictures[30:]) > near


def test_the_expected_error_is_in_pixels_of_128_and_larger_for_noise() -> None:
    detector = Detector.load()
    generator = load_generator(model_path("suzanne"))
    torch.manual_seed(0)
    latents = torch.stack([torch.from_numpy(sample_latent(generator, s, 0.7)) for s in range(4)])
    images = generator.synthesis(latents)
    whole = expected_error_px(detector, images)
    assert whole == pytest.approx(expected_error_px(detector, F.avg_pool2d(images, 2)), rel=0.5)
    assert expected_error_px(detector, torch.randn_like(images)) > 2.0 * whole
