# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the pump's ticks keep Blender's main thread busy, measured in bounded memory.

Most ticks have nothing to do, so ticks that delivered a message are also counted separately.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

# Percentiles are of this many last ticks: a minute at the pump's rate while the engine is busy.
KEPT = 4096


class Durations:
    """Many durations in seconds: their count and maximum, and percentiles of the last ``KEPT``.

    Attributes:
        count: How many there were.
        max_s: The longest one; 0 before the first.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=KEPT)
        self.clear()

    def clear(self) -> None:
        """Forget all durations."""
        self.count = 0
        self.max_s = 0.0
        self._recent.clear()

    def add(self, seconds: float) -> None:
        """Add a duration in seconds."""
        self.count += 1
        self.max_s = max(self.max_s, seconds)
        self._recent.append(seconds)

    def percentile_s(self, share: float) -> float:
        """Return what a ``share`` (0 to 1) of the last ``KEPT`` did not exceed; 0 before the first.

        It is one of the durations (nearest rank), and not interpolated.
        """
        if not self._recent:
            return 0.0
        rank = math.ceil(share * len(self._recent))
        return sorted(self._recent)[max(rank, 1) - 1]

    @property
    def median_s(self) -> float:
        """What half of the last ``KEPT`` did not exceed."""
        return self.percentile_s(0.5)

    @property
    def p99_s(self) -> float:
        """What 99 % of the last ``KEPT`` did not exceed."""
        return self.percentile_s(0.99)


class TickStats:
    """The durations of ticks, with the callbacks that they have called.

    Attributes:
        all: Of all ticks.
        working: Of the ticks that delivered a message.
        last_s: Of the last tick.
        longest: The kinds of the messages that the longest tick delivered, in order.
    """

    def __init__(self) -> None:
        self.all = Durations()
        self.working = Durations()
        self.clear()

    def clear(self) -> None:
        """Forget all ticks, to measure from now on."""
        self.all.clear()
        self.working.clear()
        self.last_s = 0.0
        self.longest: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of ticks."""
        return self.all.count

    @property
    def max_s(self) -> float:
        """The duration of the longest tick."""
        return self.all.max_s

    def add(self, seconds: float, delivered: Sequence[str] = ()) -> None:
        """Add a tick.

        Args:
            seconds: Its duration.
            delivered: The kinds of the messages that it delivered.
        """
        self.last_s = seconds
        if seconds > self.max_s:
            self.longest = tuple(delivered)
        self.all.add(seconds)
        if delivered:
            self.working.add(seconds)
