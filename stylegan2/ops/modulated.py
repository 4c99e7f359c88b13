# SPDX-License-Identifier: GPL-3.0-or-later
"""The style-modulated, demodulated convolution of StyleGAN2, by scaling activations.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", section 2.2, scale the
weights by the style, ``w'_oik = s_i w_oik``, and divide them by the norm over ``i, k``. Scaling the
input of the convolution by ``s`` and its output by the reciprocal of the norm is algebraically
equal. The norm is ``sqrt(s^2 . W2 + eps)`` with ``W2_oi = sum_k w_oik^2``, which does not depend on
the style. So the weights stay constant: a batch of any size is one plain convolution, and a
gradient with respect to the style needs no gradient of a convolution weight, which would cost a
third convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import precision
from .resample import upsampling_conv2d

EPSILON = 1e-8


def weight_energy(weight: Tensor) -> Tensor:
    """Sum the squares of a convolution weight over the kernel.

    Args:
        weight: ``O x I x k x k`` float32.

    Returns:
        ``O x I`` float32.
    """
    return weight.square().sum(dim=(2, 3))


def demodulation(style: Tensor, energy: Tensor) -> Tensor:
    """Return the factor that restores unit variance in each output channel.

    Args:
        style: ``N x I`` float32.
        energy: ``O x I`` float32 from ``weight_energy``.

    Returns:
        ``N x O`` float32.
    """
    return torch.rsqrt(style.square() @ energy.t() + EPSILON)


def modulated_conv2d(
    x: Tensor, weight: Tensor, style: Tensor, energy: Tensor, up_taps: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Convolve a feature map with weights modulated by a style.

    The demodulation is returned and not applied, so that the caller can combine it with the
    multiplication and addition that follow.

    Args:
        x: ``N x I x H x W`` float32.
        weight: ``O x I x 3 x 3`` float32.
        style: ``N x I`` float32.
        energy: ``O x I`` float32, ``weight_energy(weight)``.
        up_taps: ``4 x 4`` float32, the low-pass filter of an upsampling layer; otherwise None.

    Returns:
        The convolved map ``N x O x H' x W'`` and the demodulation ``N x O``, float32. ``H'`` and
        ``W'`` are ``2 H`` and ``2 W`` with ``up_taps``, otherwise ``H`` and ``W``.
    """
    scaled = x * style[:, :, None, None]
    if up_taps is None:
        convolved = precision.conv2d(scaled, weight, padding=1)
    else:
        convolved = upsampling_conv2d(scaled, weight, up_taps)
    return convolved, demodulation(style, energy)
