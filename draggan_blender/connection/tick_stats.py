# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pump costs Blender's main thread: how long its ticks took, in bounded memory.

Most ticks find nothing to do. Those that delivered a message are counted by themselves as well,
so that the others do not flatter the figure.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

#: Of how many ticks percentiles are taken: a minute at the pump's usual rate.
KEPT = 4096


class Durations:
    """How long something took, over and over: seconds."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=KEPT)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.count = 0
        self.max_s = 0.0
        self._recent.clear()

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.max_s = max(self.max_s, seconds)
        self._recent.append(seconds)

    def percentile_s(self, share: float) -> float:
        """What ``share`` (0 to 1) of the last :data:`KEPT` did not exceed; 0 before the first."""
        if not self._recent:
            return 0.0
        rank = math.ceil(share * len(self._recent))
        return sorted(self._recent)[max(rank, 1) - 1]

    @property
    def median_s(self) -> float:
        """What half of them did not exceed."""
        return self.percentile_s(0.5)

    @property
    def p99_s(self) -> float:
        """What 99 of 100 did not exceed."""
        return self.percentile_s(0.99)


class TickStats:
    """All ticks, and those ``working`` that delivered a message; callbacks included."""

    def __init__(self) -> None:
        self.all = Durations()
        self.working = Durations()
        self.clear()

    def clear(self) -> None:
        """Forget everything: what comes now is to be looked at by itself."""
        self.all.clear()
        self.working.clear()
        self.last_s = 0.0
        #: The kinds of the messages that the longest tick delivered, in order.
        self.longest: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many ticks there were."""
        return self.all.count

    @property
    def max_s(self) -> float:
        """How long the longest took."""
        return self.all.max_s

    def add(self, seconds: float, delivered: Sequence[str] = ()) -> None:
        """Count one tick, with the kinds of what it delivered."""
        self.last_s = seconds
        if seconds > self.max_s:
            self.longest = tuple(delivered)
        self.all.add(seconds)
        if delivered:
            self.working.add(seconds)
