# SPDX-License-Identifier: GPL-3.0-or-later
"""How many of torch's CPU threads compute what a person waits for at each step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Hashable, Iterator

import torch

# Passes that take a thread this long, seconds of processor time, consist of long operations.
_LONG_S = 0.06
# How often the number of threads that was slower is tried again, passes.
_TRIED_EVERY = 16
# The share of the newest measurement in what is known of a number of threads.
_NEWEST = 0.5


class PullThreads:
    """Leaves a core to Blender while a person pulls, unless all cores turn out to be faster.

    Torch's threads wait for each other after each operation. If Blender needs one of their cores,
    to draw the image, every operation waits for the thread on that core: with the built-in model
    on two cores, 5 images a second are shown with both and 13 with one. The operations of a large
    network are so long that these waits count little. There it depends on what else the cores do,
    so both numbers are measured, again and again.
    """

    def __init__(self, device: torch.device) -> None:
        """Change nothing yet.

        Args:
            device: Where the work runs; on a GPU nothing is changed, nor where torch leaves cores
                free already.
        """
        self._device = device
        self._all = 0
        self._has_choice = False
        self._size: Hashable = None
        # Seconds of a pass by the number of threads, and how many were measured.
        self._seconds: dict[int, float] = {}
        self._passes = 0
        self._is_long = False

    def __enter__(self) -> PullThreads:
        """Leave a core."""
        self._all = torch.get_num_threads()
        is_whole = 2 <= self._all >= (os.cpu_count() or 1)
        self._has_choice = self._device.type == "cpu" and is_whole
        if self._has_choice:
            torch.set_num_threads(self._all - 1)
        return self

    def __exit__(self, *_: object) -> None:
        """Use all cores again."""
        if self._has_choice:
            torch.set_num_threads(self._all)
        self._has_choice = False

    @contextlib.contextmanager
    def timed(self, size: Hashable) -> Iterator[None]:
        """Measure a pass that is made again and again, and choose the threads of what follows.

        Outside of the ``with`` statement of this object it changes nothing.

        Args:
            size: Passes of one size take about the same time.
        """
        count, wall_s, work_s = torch.get_num_threads(), time.perf_counter(), time.thread_time()
        yield
        if not self._has_choice:
            return
        if size != self._size:
            self._size, self._seconds, self._passes = size, {}, 0
        now_s = time.perf_counter() - wall_s
        known_s = self._seconds.get(count, now_s)
        self._seconds[count] = known_s + _NEWEST * (now_s - known_s)
        self._passes += 1
        if count < self._all:
            self._is_long = time.thread_time() - work_s >= _LONG_S
        torch.set_num_threads(self._next())

    def _next(self) -> int:
        counts = self._all - 1, self._all
        if not self._is_long:
            return counts[0]
        for count in counts:
            if count not in self._seconds:
                return count
        slower, faster = sorted(counts, key=lambda count: self._seconds[count], reverse=True)
        return slower if self._passes % _TRIED_EVERY == 0 else faster
