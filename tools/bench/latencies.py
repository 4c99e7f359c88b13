# SPDX-License-Identifier: GPL-3.0-or-later
"""From the new targets of a running drag to the images that follow them: standard library only."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

Point = tuple[float, float]

# The places of handles are float32, so the distances that an engine reports differ by less.
_SAME_PX = 2e-3


@dataclass
class Latencies:
    """Works out which previews show which targets.

    A ``Step`` says where the handle is and how far it is from its target. That tells the target
    that the engine used: the latent of this step was changed for it.

    Attributes:
        seconds: From each target to the preview that shows it or a later one.
        updates: The number of previews that showed a later target than the one before.
    """

    seconds: list[float] = field(default_factory=list)
    updates: int = 0
    _sent: list[tuple[float, Point]] = field(default_factory=list)
    # (The first step that shows it, the number of the target.)
    _used: list[tuple[int, int]] = field(default_factory=list)
    _shown: int = 0

    def sent(self, at_s: float, target_px: Point) -> None:
        """Record that a target was sent."""
        self._sent.append((at_s, target_px))

    def stepped(self, step: int, place_px: Point, distance_px: float) -> None:
        """Record a step."""
        for number in reversed(range(len(self._sent))):
            away_px = math.dist(place_px, self._sent[number][1])
            if abs(away_px - distance_px) < _SAME_PX:
                self._used.append((step, number))
                return

    def previewed(self, at_s: float, step: int) -> None:
        """Record that the preview of a step was shown."""
        seen = max((number for first, number in self._used if first <= step), default=-1) + 1
        if seen > self._shown:
            self.seconds += [at_s - sent_s for sent_s, _ in self._sent[self._shown : seen]]
            self._shown = seen
            self.updates += 1

    def lines(self, seconds: float) -> list[str]:
        """Return the figures as lines of text.

        Args:
            seconds: How long it was measured.
        """
        times = sorted(self.seconds)
        if not times:
            return ["  no target was shown; measure for longer"]
        last = times[math.ceil(0.95 * len(times)) - 1]
        return [
            f"  {len(times):7} of {len(self._sent)} targets were shown",
            f"  {1000 * statistics.median(times):7.1f} ms from a target to its image, median",
            f"  {1000 * last:7.1f} ms, 95 % of the targets",
            f"  {self.updates / seconds:7.1f} updates of the image per second",
        ]
