# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue between the thread that reads the socket and the worker's thread.

Stop, cancel and other messages about a job arrive on the first thread while the job runs on the
second. ``QueuedJob`` carries them; the job looks at them once per step, or waits for them.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from draggan_blender.protocol.live import Pause, ReplacePairs
from draggan_blender.protocol.messages import Request


class QueuedJob:
    """A request, and the signals that arrived for it later.

    Attributes:
        request: The request.
        cancelled: Set when the request was cancelled: it must end without a result.
        stopped: Set when the request must end where it is and keep its result.
        shown: Set while no preview of the job is on its way to the screen.
        is_paused: Whether the job is to make no steps.
        passes: How often the job has looked at these signals; it rises while the job computes.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.stopped = threading.Event()
        self.shown = threading.Event()
        self.shown.set()
        self.is_paused = False
        self.passes = 0
        self._pairs: ReplacePairs | None = None
        self._lock = threading.Lock()
        self._news = threading.Event()

    def tell(self, change: ReplacePairs | Pause) -> None:
        """Store a change for the job; of several ``ReplacePairs``, the job gets the newest.

        A mask that has grown is not lost if the next message has none.
        """
        if isinstance(change, Pause):
            self.is_paused = change.paused
        else:
            with self._lock:
                mask = change.mask or (self._pairs.mask if self._pairs else b"")
                self._pairs = replace(change, mask=mask)
        self._news.set()

    def wake(self) -> None:
        """Let ``wait`` return, because one of the signals was set."""
        self._news.set()

    def take_pairs(self) -> ReplacePairs | None:
        """Return the newest pairs that were not taken yet, or None."""
        with self._lock:
            pairs, self._pairs = self._pairs, None
        return pairs

    @property
    def has_news(self) -> bool:
        """Whether the job has something else to do than to rest: to end, or to take other pairs.

        A paused job takes none.
        """
        is_moved = self._pairs is not None and not self.is_paused
        return is_moved or self.cancelled.is_set() or self.stopped.is_set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until a signal or a change has arrived since the last call, or for a time."""
        self._news.wait(timeout_s)
        self._news.clear()


class JobQueue:
    """A first-in, first-out queue of jobs for one worker; safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: deque[QueuedJob] = deque()
        self._running: QueuedJob | None = None
        self._passes = 0
        self._changed = threading.Condition()

    def put(self, request: Request) -> None:
        """Append a request."""
        with self._changed:
            self._waiting.append(QueuedJob(request))
            self._changed.notify()

    def take(self) -> QueuedJob:
        """Wait for the next job and return it; the job taken before counts as finished."""
        with self._changed:
            if self._running is not None:
                self._passes += self._running.passes + 1
            self._running = None
            self._changed.wait_for(lambda: bool(self._waiting))
            self._running = self._waiting.popleft()
            return self._running

    @property
    def passes(self) -> int:
        """The passes of all jobs so far."""
        with self._changed:
            return self._passes + (self._running.passes if self._running else 0)

    def is_empty(self) -> bool:
        """Return whether no job waits."""
        with self._changed:
            return not self._waiting

    def stop(self, request_id: int) -> None:
        """Set the ``stopped`` signal of a job; does nothing if the job is finished."""
        job = self._find(request_id)
        if job is not None:
            job.stopped.set()
            job.wake()

    def shown(self, request_id: int) -> None:
        """Set the ``shown`` signal of a job; does nothing if the job is finished."""
        job = self._find(request_id)
        if job is not None:
            job.shown.set()
            job.wake()

    def tell(self, change: ReplacePairs | Pause) -> None:
        """Pass a change on to its job; does nothing if the job is finished."""
        job = self._find(change.request_id)
        if job is not None:
            job.tell(change)

    def cancel(self, request_id: int) -> bool:
        """Remove a waiting job, or set the ``cancelled`` signal of a running one.

        Returns:
            True if the job was waiting; the caller must then report its ending. A running job
            reports its ending itself. False also if the job is finished.
        """
        with self._changed:
            for job in self._waiting:
                if job.request.request_id == request_id:
                    self._waiting.remove(job)
                    return True
            if self._running is not None and self._running.request.request_id == request_id:
                self._running.cancelled.set()
                self._running.wake()
            return False

    def _find(self, request_id: int) -> QueuedJob | None:
        with self._changed:
            jobs = [*self._waiting, *([self._running] if self._running else [])]
        return next((job for job in jobs if job.request.request_id == request_id), None)
