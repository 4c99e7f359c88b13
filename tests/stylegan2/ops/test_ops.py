# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast operations against their definitions, values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2.ops import (
    filter_taps,
    modulated_conv2d,
    reference,
    upsample2d,
    upsampling_conv2d,
    weight_energy,
)

TAPS = filter_taps().double()


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 3)])
def test_upsampling_an_image_is_zero_insertion_and_filter(size: tuple[int, int]) -> None:
    image = random(2, 3, *size)
    torch.testing.assert_close(upsample2d(image, TAPS), reference.upsample2d(image, TAPS))


def test_upsampling_an_image_is_bilinear_inside() -> None:
    image = random(1, 3, 6, 6)
    bilinear = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    found = upsample2d(image, TAPS)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])
    assert not torch.allclose(found, bilinear)


def test_upsampling_convolution_is_convolution_of_inserted_zeros_and_filter() -> None:
    x, weight = random(2, 3, 4, 5), random(6, 3, 3, 3, seed=1)
    spread = torch.zeros(2, 3, 9, 11, dtype=torch.float64)
    spread[..., 0:8:2, 0:10:2] = x
    convolved = F.conv2d(F.pad(spread, (2, 0, 2, 0)), weight.flip(2, 3))
    expected = reference.upfirdn2d(convolved, TAPS, padding=(1, 1), gain=4)
    torch.testing.assert_close(upsampling_conv2d(x, weight, TAPS), expected)


@pytest.mark.parametrize("up_taps", [None, TAPS], ids=["same size", "upsampling"])
def test_scaling_activations_equals_modulating_weights(up_taps: Tensor | None) -> None:
    x, weight, style = random(3, 4, 5, 6), random(7, 4, 3, 3, seed=1), random(3, 4, seed=2)
    inputs = [t.requires_grad_() for t in (x, weight, style)]
    convolved, demodulation = modulated_conv2d(x, weight, style, weight_energy(weight), up_taps)
    found = convolved * demodulation[:, :, None, None]
    expected = reference.modulated_conv2d(x, weight, style, up_taps)
    torch.testing.assert_close(found, expected)
    cotangent = random(*found.shape, seed=3)
    found_gradients = torch.autograd.grad(found, inputs, cotangent)
    for gradient, reference_gradient in zip(
        found_gradients, torch.autograd.grad(expected, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(gradient, reference_gradient)
