# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps redraws from taking all the time that the engine needs, where drawing is slow."""

from __future__ import annotations

# After a redraw, the next one waits for this many times as long as it took, and at most so long:
# a pause of the mouse looks like a slow redraw.
_PAUSES, _LONGEST_S = 4.0, 0.5


class Pacing:
    """Decides which events of the mouse cause a redraw of their own.

    The others wait for the next image, or for the pause to end. At most a fifth of the time goes
    into these redraws.
    """

    def __init__(self) -> None:
        self._caused_s = -1.0
        self._allowed_s = 0.0

    def may_redraw(self, now_s: float, caused_s: float) -> bool:
        """Return whether an event may cause a redraw.

        Blender handles the next event after a redraw, so the first one tells how long that took.

        Args:
            now_s: The time of the event, seconds.
            caused_s: When the last redraw was caused, by whatever it was.
        """
        if caused_s != self._caused_s:
            self._caused_s = caused_s
            self._allowed_s = now_s + min(_PAUSES * (now_s - caused_s), _LONGEST_S)
        return now_s >= self._allowed_s
