# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of small images that follow a slider: as large as the machine and the model allow."""

from __future__ import annotations

# The smallest and the largest image, px, and how long one may and should take at least.
_LEAST_PX, _MOST_PX = 64, 512
_SLOW_S, _QUICK_S = 0.12, 0.04


class FittingSize:
    """Adapts the size to how long images take.

    Attributes:
        px: How long the longer side of the next image should be.
    """

    def __init__(self) -> None:
        self.px = _MOST_PX

    def took(self, seconds: float) -> None:
        """Note how long the last image took from the question to the answer."""
        if seconds > _SLOW_S:
            self.px = max(self.px // 2, _LEAST_PX)
        elif seconds < _QUICK_S:
            self.px = min(self.px * 2, _MOST_PX)
