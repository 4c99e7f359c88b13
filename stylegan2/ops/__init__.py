# SPDX-License-Identifier: GPL-3.0-or-later
"""The two operations of StyleGAN2 that torch does not have by itself.

Resampling with the low-pass filter [1, 3, 3, 1], and the convolution modulated by a style. Both
are compositions of torch's own operators, so they run unchanged on every device, and their
gradients are torch's. ``reference.py`` holds each of them once more as its definition reads, slowly;
the tests hold the fast forms to those.
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
