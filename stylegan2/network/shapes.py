# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape checks for the public functions of the network.

A tensor of a wrong shape often broadcasts and fails only some layers later, where the message names
another tensor. So the public functions compare each shape with a pattern, written as in the
docstrings, and report both.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def describe_shape(shape: Sequence[int | str]) -> str:
    """Return a shape as text, such as ``N x 14 x 512``; an empty shape is ``scalar``."""
    return " x ".join(str(size) for size in shape) or "scalar"


def check_shape(name: str, tensor: Tensor, expected: Sequence[int | str]) -> None:
    """Raise ``ValueError`` if a tensor does not have the expected shape.

    Args:
        name: Name of the tensor for the message, as the caller knows it.
        tensor: The tensor to check.
        expected: One entry per dimension: an ``int`` is the required size, a ``str`` (such as
            ``"N"``) allows any size.

    Raises:
        ValueError: The rank or a required size differs.
    """
    matches = tensor.ndim == len(expected) and all(
        isinstance(want, str) or have == want
        for have, want in zip(tensor.shape, expected, strict=True)
    )
    if not matches:
        raise ValueError(
            f"{name} has shape {describe_shape(tensor.shape)}, expected {describe_shape(expected)}"
        )
