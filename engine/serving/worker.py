# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the requests of the queue, one after the other, in the only threads that use torch.

Every request gets exactly one ending. An exception ends here: Blender receives a cause and a
sentence, and the log receives the traceback.
"""

from __future__ import annotations

import logging
from functools import partial

import torch

from draggan_blender.protocol.drag_messages import Drag
from draggan_blender.protocol.messages import Cancelled, Done, Ending, Failed, Ready

from ..machine.device import describe_device, open_device
from ..machine.operators import start_operators
from ..machine.priority import Foreground
from .agreed_folders import AgreedFolders
from .failures import failure
from .job_queue import JobQueue, QueuedJob
from .jobs import Emit, JobCancelledError, JobRunner

_LOG = logging.getLogger(__name__)


class Worker:
    """Runs the jobs of a queue."""

    def __init__(
        self,
        jobs: JobQueue,
        emit: Emit,
        device: str,
        threads: int,
        folders: AgreedFolders | None = None,
        foreground: Foreground | None = None,
    ) -> None:
        """Open the device.

        Args:
            jobs: The queue to take jobs from.
            emit: Receives the messages to Blender.
            device: As ``machine.device.open_device`` takes it.
            threads: Number of CPU threads of torch, 0 for torch's choice.
            folders: Where requests may write; None if nothing is agreed.
            foreground: Runs the drags that a person waits for at each step; None to run them as all
                other requests.

        Raises:
            RequestError: The device does not exist, or the number of threads is negative.
        """
        self._device = open_device(device, threads)
        start_operators(self._device)
        self._jobs = jobs
        self._emit = emit
        self._runner = JobRunner(self._device, emit, folders)
        self._foreground = foreground

    def run(self) -> None:
        """Report that the engine is ready, then run jobs forever."""
        name = describe_device(self._device)
        _LOG.info("ready: torch %s on %s (%s)", torch.__version__, self._device, name)
        self._emit(
            Ready(device=str(self._device), device_name=name, torch_version=torch.__version__)
        )
        while True:
            job = self._jobs.take()
            self._emit(self._do(job))
            self._get_ready()

    def _get_ready(self) -> None:
        """Compute what the next drag would wait for; what fails here fails again when it is asked.

        Nobody has asked for this, so a failure is no ending of a request, and must not end the
        engine.
        """
        try:
            self._runner.get_ready(self._jobs.is_empty)
        except Exception as error:  # the root of what is done between two requests
            _LOG.warning("cannot get ready for the next drag: %s", failure(error)[1])

    def _run(self, job: QueuedJob) -> None:
        """Run a job; a pull as Blender's own work, because both make the image that is seen.

        It may leave a core to Blender, see ``machine.pull_threads``. On a GPU it needs none.
        """
        request = job.request
        if self._foreground is None or not isinstance(request, Drag) or not request.live:
            self._runner.run(job)
        else:
            self._foreground.run(partial(self._runner.run, job))

    def _do(self, job: QueuedJob) -> Ending:
        """Run a job and return its ending."""
        request_id = job.request.request_id
        try:
            self._run(job)
        except JobCancelledError:
            return Cancelled(request_id=request_id)
        except Exception as error:  # the root of a request: one that fails must not end the engine
            cause, message = failure(error)
            _LOG.exception("request %d (%s) failed: %s", request_id, job.request.kind, cause)
            return Failed(request_id=request_id, cause=cause, message=message)
        return Done(request_id=request_id)
