# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of the coordinates costs: a step is the cheapest one that does what is wanted."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Cost(Protocol):
    """A cost ``x^T G x`` of changes x of N coordinates, G symmetric and positive."""

    def apply(self, change: Tensor) -> Tensor:
        """Return ``G x`` for x of size ``... x N``."""
        ...

    def invert(self, change: Tensor) -> Tensor:
        """Return ``G^-1 x`` for x of size ``... x N``."""
        ...
