# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue between the thread that reads the socket and the worker's thread.

Stop and cancel messages arrive on the first thread while a job runs on the second. ``QueuedJob``
carries them as events, which the job checks once per step.
"""

from __future__ import annotations

import threading
from collections import deque

from draggan_blender.protocol.messages import Request


class QueuedJob:
    """A request, and the signals that arrived for it later.

    Attributes:
        request: The request.
        cancelled: Set when the request was cancelled: it must end without a result.
        stopped: Set when the request must end where it is and keep its result.
        shown: Set while no preview of the job is on its way to the screen.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.stopped = threading.Event()
        self.shown = threading.Event()
        self.shown.set()


class JobQueue:
    """A first-in, first-out queue of jobs for one worker; safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: deque[QueuedJob] = deque()
        self._running: QueuedJob | None = None
        self._changed = threading.Condition()

    def put(self, request: Request) -> None:
        """Append a request."""
        with self._changed:
            self._waiting.append(QueuedJob(request))
            self._changed.notify()

    def take(self) -> QueuedJob:
        """Wait for the next job and return it; the job taken before counts as finished."""
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: bool(self._waiting))
            self._running = self._waiting.popleft()
            return self._running

    def stop(self, request_id: int) -> None:
        """Set the ``stopped`` signal of a job; does nothing if the job is finished."""
        job = self._find(request_id)
        if job is not None:
            job.stopped.set()

    def shown(self, request_id: int) -> None:
        """Set the ``shown`` signal of a job; does nothing if the job is finished."""
        job = self._find(request_id)
        if job is not None:
            job.shown.set()

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
            return False

    def _find(self, request_id: int) -> QueuedJob | None:
        with self._changed:
            jobs = [*self._waiting, *([self._running] if self._running else [])]
        return next((job for job in jobs if job.request.request_id == request_id), None)
