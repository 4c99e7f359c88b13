# SPDX-License-Identifier: GPL-3.0-or-later
"""The convolutions of a drag step against their definitions, and their adjoints."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2.ops import filter_taps, reference
from stylegan2.ops.convolution import Convolution
from stylegan2.ops.scratch import Scratch
from stylegan2.ops.upsampling import low_pass, widen, widen_back
from stylegan2.ops.winograd import winograd_conv, winograd_conv_back, winograd_kernels

SIZES = [(1, 1), (2, 2), (1, 4), (5, 3), (6, 7), (8, 8)]
PLACES = [(size, padding) for size in SIZES for padding in (0, 1) if padding or min(size) > 2]


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def first(x: Tensor) -> Tensor:
    """Return a map with its channels first, as torch's operators take it."""
    return x.permute(0, 3, 1, 2)


def assert_transposed(y: Tensor, g: Tensor, x: Tensor, back: Tensor) -> None:
    """Assert that ``<A x, g> = <x, A' g>`` for ``y = A x`` and ``back = A' g``."""
    assert back.shape == x.shape
    torch.testing.assert_close((y * g).sum(), (x * back).sum())


@pytest.mark.parametrize(("size", "padding"), PLACES)
def test_winograd_is_the_convolution_and_its_derivative(
    size: tuple[int, int], padding: int
) -> None:
    x, weight, scale = random(3, *size, 4), random(5, 4, 3, 3, seed=1), random(4, seed=2)
    kernels, scratch = winograd_kernels(weight), Scratch()
    found = winograd_conv(x, scale, kernels, padding, scratch)
    torch.testing.assert_close(first(found), F.conv2d(first(x * scale), weight, padding=padding))
    g = random(*found.shape, seed=3)
    back = winograd_conv_back(g, kernels, padding, size, scratch)
    assert_transposed(found, g, x * scale, back)
    expected = torch.nn.grad.conv2d_input(  # type: ignore[no-untyped-call]
        first(x).shape, weight, first(g), padding=padding
    )
    torch.testing.assert_close(first(back), expected)


def test_winograd_is_not_less_exact_than_the_direct_convolution() -> None:
    x, weight = random(1, 9, 9, 256), random(64, 256, 3, 3, seed=1)
    exact = F.conv2d(first(x), weight)
    direct = F.conv2d(first(x).float(), weight.float())
    kernels = winograd_kernels(weight.float())
    found = first(winograd_conv(x.float(), torch.ones(256), kernels, 0, Scratch()))
    limit = 2 * (direct - exact).abs().max() + 1e-6 * exact.abs().max()
    assert (found - exact).abs().max() < limit


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("in_order", [True, False])
def test_widening_is_the_transposed_convolution(size: tuple[int, int], in_order: bool) -> None:
    x, weight = random(2, *size, 3), random(4, 3, 3, 3, seed=1)
    if in_order:
        turned = weight.transpose(0, 1).contiguous(memory_format=torch.channels_last)
        weight = turned.transpose(0, 1)
    scratch = Scratch()
    found = widen(x, weight, scratch).clone()
    expected = F.conv_transpose2d(first(x), weight.transpose(0, 1), stride=2)
    torch.testing.assert_close(first(found), expected)
    g = random(*found.shape, seed=3)
    assert_transposed(found, g, x, widen_back(g, weight, scratch))


def test_the_filter_is_its_own_transposed() -> None:
    x, taps = random(2, 9, 6, 3), filter_taps().double()
    kernel = (taps * 4).expand(3, 1, 4, 4)
    found = low_pass(x, kernel, 0)
    expected = reference.upfirdn2d(first(x), taps, padding=(0, 0), gain=4)
    torch.testing.assert_close(first(found), expected)
    g = random(*found.shape, seed=3)
    assert_transposed(found, g, x, low_pass(g, kernel, 3))


@pytest.mark.parametrize("channels", [4, 400])
@pytest.mark.parametrize(
    ("count", "size"), [(1, (1, 1)), (1, (4, 4)), (5, (2, 4)), (3, (9, 7)), (1, (12, 11))]
)
def test_every_choice_is_the_same_convolution(
    channels: int, count: int, size: tuple[int, int]
) -> None:
    x, weight = random(count, *size, channels).float(), random(channels, channels, 3, 3, seed=1)
    weight = weight.float().contiguous(memory_format=torch.channels_last)
    scale, convolution, scratch = random(channels, seed=2).float(), Convolution(weight), Scratch()
    for padding in (0, 1) if min(size) > 2 else (1,):
        found = convolution(x, scale, padding, scratch)
        expected = F.conv2d(first(x * scale).double(), weight.double(), padding=padding)
        error = (first(found) - expected).abs().max() / expected.abs().max()
        assert error < 1e-5
        g = random(*found.shape, seed=3).float()
        back = convolution.back(g, size, padding, scratch)
        product, other = (found * g).double().sum(), (x * scale * back).double().sum()
        assert abs(product - other) < 1e-5 * (found * g).norm() * channels**0.5


def test_scratch_grows_and_follows_the_type() -> None:
    scratch, like = Scratch(), torch.zeros(1)
    small = scratch.take("a", (2, 3), like)
    large = scratch.take("a", (4, 5), like)
    assert small.shape == (2, 3)
    assert scratch.take("a", (3, 2), like).data_ptr() == large.data_ptr()
    assert scratch.take("b", (2,), like).data_ptr() != large.data_ptr()
    assert scratch.take("a", (2,), like.double()).dtype == torch.float64
