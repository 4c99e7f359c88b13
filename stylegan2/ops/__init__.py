# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of StyleGAN2 that torch does not have.

The layers that call them are in ``network`` and ``windows``.

The two operations are resampling with the low-pass filter [1, 3, 3, 1], and the convolution
modulated by a style. Both are composed of torch's operators, so they run on every device, and
autograd computes their gradients. ``reference`` contains slow forms that follow the definitions;
the tests compare the fast forms with them.

The other modules are for drags, which need the same convolutions with explicit adjoints:
``convolution``, ``winograd``, ``upsampling`` and ``scratch``, and compiled forms in ``fused``.
"""

from __future__ import annotations

from .modulated import demodulation, modulated_conv2d, weight_energy
from .resample import filter_taps, upsample2d, upsampling_conv2d

__all__ = [
    "demodulation",
    "filter_taps",
    "modulated_conv2d",
    "upsample2d",
    "upsampling_conv2d",
    "weight_energy",
]
