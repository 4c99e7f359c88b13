# SPDX-License-Identifier: GPL-3.0-or-later
"""Buffers for intermediate values of one operation, which the next operation uses again.

The system clears new memory page by page, which takes about as long as writing to it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Scratch:
    """Reusable buffers by name, for one computation at a time: the next one overwrites them."""

    def __init__(self, *, keeps: bool = False) -> None:
        """Begin without buffers.

        Args:
            keeps: Whether to keep the buffers that larger ones have replaced, because a recorded
                computation still writes to their addresses.
        """
        self._buffers: dict[str, Tensor] = {}
        self._kept: list[Tensor] | None = [] if keeps else None

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return the buffer of a name as an uninitialised tensor.

        Its values are valid until the same name is taken again.

        Args:
            name: Name of the buffer.
            shape: Shape of the result.
            like: A tensor with the dtype and device of the result.
        """
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if (
            buffer is None
            or len(buffer) < size
            or buffer.dtype != like.dtype
            or buffer.device != like.device
        ):
            if buffer is not None and self._kept is not None:
                self._kept.append(buffer)
            buffer = torch.empty(size, dtype=like.dtype, device=like.device)
            self._buffers[name] = buffer
        return buffer[:size].view(shape)
