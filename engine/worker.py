# SPDX-License-Identifier: GPL-3.0-or-later
"""The one thread that owns torch: takes requests, and ends each in exactly one way.

The boundary at which every exception becomes a cause and a sentence; the traceback goes to the log.
"""

from __future__ import annotations

import logging

import torch

from draggan_blender.protocol import LocalProtocolError
from draggan_blender.protocol.messages import Cancelled, Done, Ending, Failed, Ready
from stylegan2 import ModelError

from .device import describe_device, open_device
from .errors import RequestError
from .job_queue import Job, JobQueue
from .jobs import Emit, JobCancelledError, JobRunner
from .operators import start_operators

_LOG = logging.getLogger("engine.worker")

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""How torch says so when it raises a plain RuntimeError (CPU on Linux and Windows, MPS)."""


class Worker:
    """Runs the jobs of a queue."""

    def __init__(self, jobs: JobQueue, emit: Emit, device: str, threads: int) -> None:
        """Choose the device.

        Raises:
            RequestError: there is no such device, or no such number of threads.
        """
        self._device = open_device(device, threads)
        start_operators(self._device)
        self._jobs = jobs
        self._emit = emit
        self._runner = JobRunner(self._device, emit)

    def run(self) -> None:
        """Say that the engine is ready, then work for ever."""
        name = describe_device(self._device)
        _LOG.info("ready: torch %s on %s (%s)", torch.__version__, self._device, name)
        self._emit(
            Ready(device=str(self._device), device_name=name, torch_version=torch.__version__)
        )
        while True:
            job = self._jobs.take()
            self._emit(self._do(job))
            self._runner.get_ready()

    def _do(self, job: Job) -> Ending:
        """Run a job and say how it ended."""
        request_id = job.request.request_id
        try:
            self._runner.run(job)
        except JobCancelledError:
            return Cancelled(request_id=request_id)
        except Exception as error:  # the root of a request: one that fails must not end the engine
            cause, message = failure(error)
            _LOG.exception("request %d (%s) failed: %s", request_id, job.request.kind, cause)
            return Failed(request_id=request_id, cause=cause, message=message)
        return Done(request_id=request_id)


def failure(error: Exception) -> tuple[str, str]:
    """The cause of `Failed`, and the sentence for the person."""
    if isinstance(error, ModelError):
        return "model", str(error)
    if isinstance(error, RequestError | LocalProtocolError):
        return "request", str(error)
    if _is_out_of_memory(error):
        return "memory", (
            "there is not enough memory for this model; close other programs, "
            "choose a smaller model, or run the engine on another device"
        )
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        reason = error.strerror or str(error)
        return "files", f"cannot read or write{where}: {reason}"
    return "internal", f"the engine met a defect ({type(error).__name__}: {error}); see the log"


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _OUT_OF_MEMORY)
