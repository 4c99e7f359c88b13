# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests on their way from the socket's thread to the worker's, and the signals that follow them.

Stop and cancel arrive on one thread while the job runs on the other; `Job` carries them as events
that the loop polls once a step.
"""

from __future__ import annotations

import threading
from collections import deque

from draggan_blender.protocol.messages import Request


class Job:
    """A request and what has been said about it since."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.stopped = threading.Event()
        #: Set while no preview is on its way to the screen.
        self.shown = threading.Event()
        self.shown.set()


class JobQueue:
    """First in, first out, for one worker."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()

    def put(self, request: Request) -> None:
        """Append a request."""
        with self._changed:
            self._waiting.append(Job(request))
            self._changed.notify()

    def take(self) -> Job:
        """Wait for the next job; the one taken before is thereby over."""
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: bool(self._waiting))
            self._running = self._waiting.popleft()
            return self._running

    def stop(self, request_id: int) -> None:
        """Ask a job to end where it is; nothing happens if it is over."""
        job = self._find(request_id)
        if job is not None:
            job.stopped.set()

    def shown(self, request_id: int) -> None:
        """The last preview of a job was shown; nothing happens if it is over."""
        job = self._find(request_id)
        if job is not None:
            job.shown.set()

    def cancel(self, request_id: int) -> bool:
        """Give a job up.

        Returns:
            Whether it was still waiting: it is gone then, and the caller reports its ending. A
            running job reports its own.
        """
        with self._changed:
            for job in self._waiting:
                if job.request.request_id == request_id:
                    self._waiting.remove(job)
                    return True
            if self._running is not None and self._running.request.request_id == request_id:
                self._running.cancelled.set()
            return False

    def _find(self, request_id: int) -> Job | None:
        with self._changed:
            jobs = [*self._waiting, *([self._running] if self._running else [])]
        return next((job for job in jobs if job.request.request_id == request_id), None)
