# SPDX-License-Identifier: GPL-3.0-or-later
"""How different two images are."""

from __future__ import annotations

import pytest
import torch

from engine.inversion.loss import difference, mean_error, structural_similarity


def test_equal_images_are_not_different() -> None:
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    ones = torch.ones(2, 1, 32, 32)
    assert difference(image, image, ones).abs().max() < 1e-5


def test_the_ssim_of_flat_images_is_that_of_their_means() -> None:
    one, other = torch.full((1, 3, 24, 24), -0.5), torch.full((1, 3, 24, 24), 0.2)
    # Wang et al. (2004), equation 13, with variances of 0: only the means are left.
    a, b, constant = 0.5, 1.2, 0.02**2
    expected = (2 * a * b + constant) / (a * a + b * b + constant)
    found = structural_similarity(one, other)
    # The paper's variances are differences of squares, which float32 rounds.
    assert found.mean().item() == pytest.approx(expected, abs=1e-3)


def test_pixels_without_weight_do_not_count() -> None:
    image = torch.zeros(1, 3, 32, 32)
    other = image.clone()
    other[..., :16] = 1.0
    weights = torch.zeros(1, 1, 32, 32)
    weights[..., 16:] = 1.0
    assert mean_error(image, other, weights) == 0.0
    assert mean_error(image, other, torch.ones_like(weights)) == pytest.approx(0.25)


def test_the_gradient_points_to_the_wanted_image() -> None:
    wanted = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    image = torch.zeros_like(wanted, requires_grad=True)
    ones = torch.ones(1, 1, 32, 32)
    before = difference(image, wanted, ones)
    (gradient,) = torch.autograd.grad(before.sum(), image)
    after = difference(image - 200 * gradient, wanted, ones)
    assert after.item() < before.item()
