# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory for values that live within one operation, used again by the next.

Fresh memory must be cleared by the system page by page, which takes about as long as writing it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Scratch:
    """Buffers by name. For one computation at a time: another overwrites what they hold."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A buffer of a shape, of the type and device of another tensor; what it holds is unset.

        It is valid until the same name is taken again.
        """
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if (
            buffer is None
            or len(buffer) < size
            or buffer.dtype != like.dtype
            or buffer.device != like.device
        ):
            buffer = torch.empty(size, dtype=like.dtype, device=like.device)
            self._buffers[name] = buffer
        return buffer[:size].view(shape)
