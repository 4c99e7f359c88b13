# SPDX-License-Identifier: GPL-3.0-or-later
"""Lowers the engine's priority: it may use all idle cores, but Blender comes first.

Only what a person waits for at each moment runs as Blender does, on one core less.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_NICENESS = 10
_BELOW_NORMAL_PRIORITY_CLASS = 0x4000


class Foreground:
    """Runs work with the priority that the process has when this is made.

    On Linux a lowered priority cannot be raised again without rights, but each thread has its own.
    So a thread is started before. Elsewhere the work runs as the rest of the process.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self._thread: ThreadPoolExecutor | None = None
        if sys.platform == "linux":
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="foreground")
            # It starts its thread with the first work.
            self._thread.submit(int).result()

    def run(self, work: Callable[[], None]) -> None:
        """Do the work and wait for it; what it raises is raised here."""
        if self._thread is None:
            work()
        else:
            self._thread.submit(work).result()


def lower_priority() -> None:
    """Lower the priority of this process a little; do nothing where the system refuses.

    Torch uses all cores for a step. With the same priority, Blender's threads, which have short
    tasks that cannot wait, would have to share the cores with torch's.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL_PRIORITY_CLASS)
        return
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
