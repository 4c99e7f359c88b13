# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaving a computation in the middle, because the person wants the drag to end where it is.

A step of a drag with many points, or with a large model on a slow machine, takes seconds. So the
caller is asked not only once per step, but also between the passes that a step consists of.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class StoppedError(Exception):
    """The caller wants the drag to end where it is; ends a step that was not completed."""


def leave_if(should_stop: Callable[[], bool] | None) -> Callable[[], None]:
    """Return a function that raises ``StoppedError`` once the caller wants to stop.

    Args:
        should_stop: Returns whether to stop; None for never.
    """

    def between() -> None:
        if should_stop is not None and should_stop():
            raise StoppedError

    return between


def leave_after(seconds: float) -> Callable[[], None]:
    """Return a function that raises ``StoppedError`` once a time has passed from now on."""
    end = time.monotonic() + seconds
    return leave_if(lambda: time.monotonic() >= end)
