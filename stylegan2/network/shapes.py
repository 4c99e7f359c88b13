# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape checks for the public entries of the network.

A wrong shape that slips through broadcasts, and is found layers later under another name.  The
entries therefore compare against a pattern in the vocabulary of the docstrings and say both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def describe_shape(shape: Sequence[int | str]) -> str:
    """Write a shape as the docstrings do: `N x 14 x 512`; a tensor of rank 0 is `scalar`."""
    return " x ".join(str(size) for size in shape) or "scalar"


def check_shape(name: str, tensor: Tensor, expected: Sequence[int | str]) -> None:
    """Compare a tensor's shape with a pattern of sizes and names of free dimensions.

    Args:
        name: what the caller calls the tensor.
        tensor: the tensor to check.
        expected: one entry per dimension; an `int` must be met, a `str` (such as `"N"`) is free.

    Raises:
        ValueError: if rank or any fixed size differs.
    """
    matches = tensor.ndim == len(expected) and all(
        isinstance(want, str) or have == want
        for have, want in zip(tensor.shape, expected, strict=True)
    )
    if not matches:
        raise ValueError(
            f"{name} has shape {describe_shape(tensor.shape)}, expected {describe_shape(expected)}"
        )
