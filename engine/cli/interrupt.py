# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends a command in the middle: Ctrl-C (SIGINT), and SIGTERM, which render farms send.

A command ends with ``KeyboardInterrupt``, so that what it is writing is completed or removed.
During a drag the first signal ends the drag with its result so far, the second one the command.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def terminate_interrupts() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at SIGTERM in the block.

    Only the main thread of a process can change what signals do; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def interrupt_stops() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether a signal came in the block."""
    was_pressed = False
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def press(_number: int, _frame: FrameType | None) -> None:
        nonlocal was_pressed
        was_pressed = True
        restore()

    for number in _SIGNALS:
        signal.signal(number, press)
    try:
        yield lambda: was_pressed
    finally:
        restore()
