# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference forms of the operations of StyleGAN2, slow and close to their definitions.

The network does not call them. The tests compare the fast forms with them, and they help to find
the error when an operation gives different numbers on another device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .modulated import EPSILON


def upfirdn2d(
    x: Tensor, taps: Tensor, *, up: int = 1, padding: tuple[int, int] = (0, 0), gain: float = 1
) -> Tensor:
    """Insert zeros, pad, and convolve each channel with a small filter.

    Args:
        x: ``N x C x H x W`` float32.
        taps: ``k x k`` float32.
        up: Upsampling factor: ``up - 1`` zeros are inserted after each pixel, along both axes.
        padding: Number of zeros before and after the pixels, along both axes: ``(p0, p1)``.
        gain: Factor of the result.

    Returns:
        ``N x C x (up H + p0 + p1 - k + 1) x (up W + p0 + p1 - k + 1)`` float32.
    """
    count, channels, height, width = x.shape
    spread = x.new_zeros(count, channels, height, up, width, up)
    spread[:, :, :, 0, :, 0] = x
    spread = spread.reshape(count, channels, height * up, width * up)
    spread = F.pad(spread, [padding[0], padding[1], padding[0], padding[1]])
    # F.conv2d computes a correlation; a true convolution needs the flipped filter.
    kernel = (taps.flip(0, 1) * gain).expand(channels, 1, -1, -1)
    return F.conv2d(spread, kernel, groups=channels)


def upsample2d(image: Tensor, taps: Tensor) -> Tensor:
    """Double the size of an image: zero insertion, padding (2, 1), filter, gain 4.

    Arguments and result are those of ``resample.upsample2d``.
    """
    return upfirdn2d(image, taps, up=2, padding=(2, 1), gain=4)


def modulated_conv2d(
    x: Tensor, weight: Tensor, style: Tensor, up_taps: Tensor | None = None
) -> Tensor:
    """Convolve each sample with its own modulated and demodulated weight.

    Args:
        x: ``N x I x H x W`` float32.
        weight: ``O x I x 3 x 3`` float32.
        style: ``N x I`` float32.
        up_taps: ``4 x 4`` float32, the low-pass filter of an upsampling layer; otherwise None.

    Returns:
        ``N x O x H' x W'`` float32. ``H'`` and ``W'`` are ``2 H`` and ``2 W`` with ``up_taps``,
        otherwise ``H`` and ``W``.
    """
    results = []
    for index, sample_style in enumerate(style):
        sample = x[index : index + 1]
        modulated = weight * sample_style[None, :, None, None]
        norm = torch.rsqrt(modulated.square().sum(dim=(1, 2, 3), keepdim=True) + EPSILON)
        modulated = modulated * norm
        if up_taps is None:
            results.append(F.conv2d(sample, modulated, padding=1))
            continue
        count, channels, height, width = sample.shape
        spread = sample.new_zeros(count, channels, height, 2, width, 2)
        spread[:, :, :, 0, :, 0] = sample
        spread = spread.reshape(count, channels, 2 * height, 2 * width)
        spread = F.pad(spread, [2, 1, 2, 1])
        convolved = F.conv2d(spread, modulated.flip(2, 3))
        results.append(upfirdn2d(convolved, up_taps, padding=(1, 1), gain=4))
    return torch.cat(results)
