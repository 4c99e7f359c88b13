# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that tells Blender that the engine is alive, while the worker computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from draggan_blender.protocol.health import PULSE_S, Pulse


def start_pulse(put: Callable[[Pulse], None], passes: Callable[[], int]) -> None:
    """Start a thread that sends a ``Pulse`` now and every ``PULSE_S`` seconds.

    Args:
        put: Queues a message.
        passes: Returns the number of the pulse.
    """

    def run() -> None:
        while True:
            put(Pulse(passes=passes()))
            time.sleep(PULSE_S)

    threading.Thread(target=run, name="pulse", daemon=True).start()
