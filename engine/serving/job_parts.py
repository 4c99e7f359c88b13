# SPDX-License-Identifier: GPL-3.0-or-later
"""What the jobs share: cancelling, and the files of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from draggan_blender.protocol.messages import FrameTarget, FrameWritten, Message, Progress

from ..arrays import FloatArray
from ..models import LoadedModel
from ..output.frames import FrameNames
from ..output.sequence import write_sequence
from .job_queue import Job

Emit = Callable[[Message], None]


class JobCancelledError(Exception):
    """The person has given the request up."""


def check_cancelled(job: Job) -> None:
    """Leave the job if it has been cancelled.

    Raises:
        JobCancelledError: it has.
    """
    if job.cancelled.is_set():
        raise JobCancelledError


def frame_names(target: FrameTarget) -> FrameNames:
    """The files of a request's sequence."""
    return FrameNames(Path(target.folder), target.stem, target.first_number)


class SequenceJob:
    """The part of a job that writes frames."""

    def __init__(
        self, target: FrameTarget, model: LoadedModel, job: Job, emit: Emit, fraction: float = 0.0
    ) -> None:
        """Get ready; `fraction` of the request's progress is done before."""
        self._names = frame_names(target)
        self._model = model
        self._job = job
        self._emit = emit
        self._fraction = fraction

    def write(
        self,
        latent_of: Callable[[int], FloatArray],
        rows: range,
        *,
        skip_existing: bool = False,
        keep: bool = False,
    ) -> None:
        """Render rows and write them, with their events; see `write_sequence`.

        Raises:
            JobCancelledError: the files written so far are removed, or kept.
            OSError: a file cannot be written; likewise.
        """
        request_id = self._job.request.request_id

        def on_written(number: int, path: Path) -> None:
            self._emit(FrameWritten(request_id=request_id, number=number, path=str(path)))

        def on_rendered(count: int) -> None:
            check_cancelled(self._job)
            done = self._fraction + (1 - self._fraction) * count / len(rows)
            text = f"Writing frame {count} of {len(rows)}"
            self._emit(Progress(request_id=request_id, fraction=done, text=text))

        write_sequence(
            self._model.generator,
            latent_of,
            rows,
            self._names,
            skip_existing=skip_existing,
            keep=keep,
            on_written=on_written,
            on_rendered=on_rendered,
        )
