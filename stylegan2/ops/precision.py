# SPDX-License-Identifier: GPL-3.0-or-later
"""Convolutions in fewer bits, to measure what they would gain on a GPU and what they would cost.

Everything else stays float32, and so do the inputs and results of a convolution; only its factors
are rounded. float16 sums in float32 on every NVIDIA GPU since Volta, on units of their own.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

# The environment variable that rounds the factors of convolutions: ``float16`` or ``bfloat16``.
SWITCH = "DRAGGAN_PRECISION"
_KINDS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def reduced() -> torch.dtype | None:
    """Return the type of the factors of convolutions; None for that of the tensors.

    Raises:
        ValueError: The variable has another value.
    """
    name = os.environ.get(SWITCH, "")
    if name in ("", "float32"):
        return None
    if name not in _KINDS:
        raise ValueError(f"{SWITCH} must be float32, {' or '.join(_KINDS)}, not {name!r}")
    return _KINDS[name]


def conv2d(x: Tensor, weight: Tensor, **options: Any) -> Tensor:
    """Convolve as ``torch.nn.functional.conv2d`` does."""
    kind = reduced()
    if kind is None:
        return F.conv2d(x, weight, **options)
    return F.conv2d(x.to(kind), weight.to(kind), **options).to(x.dtype)


def conv_transpose2d(x: Tensor, weight: Tensor, **options: Any) -> Tensor:
    """Convolve as ``torch.nn.functional.conv_transpose2d`` does."""
    kind = reduced()
    if kind is None:
        return F.conv_transpose2d(x, weight, **options)
    return F.conv_transpose2d(x.to(kind), weight.to(kind), **options).to(x.dtype)


def conv2d_back(shape: tuple[int, ...], weight: Tensor, g: Tensor, *, padding: int) -> Tensor:
    """Return the cotangent of the input of a convolution.

    Args:
        shape: That of the input.
        weight: The weight of the convolution.
        g: The cotangent of its result.
        padding: Zeros around the input.
    """
    kind = reduced()
    if kind is None:
        x: Tensor = conv2d_input(shape, weight, g, padding=padding)  # type: ignore[no-untyped-call]
        return x
    rounded: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
        shape, weight.to(kind), g.to(kind), padding=padding
    )
    return rounded.to(g.dtype)
