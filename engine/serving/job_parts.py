# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that several jobs use: cancelling, and writing the frames of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from draggan_blender.protocol.drag_messages import Drag
from draggan_blender.protocol.messages import FrameTarget, FrameWritten, Message, Progress
from draggan_blender.protocol.timeline import Edit
from stylegan2 import Generator

from ..models import LoadedModel
from ..output.frames import FrameNames
from ..output.sequence import write_sequence
from ..pictures import Picture
from ..solving.lock import Locked
from .job_queue import QueuedJob

Emit = Callable[[Message], None]


class JobCancelledError(Exception):
    """The request was cancelled."""


def check_cancelled(job: QueuedJob) -> None:
    """Raise ``JobCancelledError`` if the job was cancelled.

    Raises:
        JobCancelledError: The job was cancelled.
    """
    job.passes += 1
    if job.cancelled.is_set():
        raise JobCancelledError


def should_stop(job: QueuedJob) -> bool:
    """Return whether a job must end where it is.

    Raises:
        JobCancelledError: The job was cancelled.
    """
    check_cancelled(job)
    return job.stopped.is_set()


def frame_names(target: FrameTarget, generator: Generator) -> FrameNames:
    """Return the file names of the sequence that a request writes."""
    channels = generator.img_shape[0]
    return FrameNames(Path(target.folder), target.stem, target.first_number, channels)


def locked_of(request: Drag | Edit, model: LoadedModel) -> Locked | None:
    """Return the directions that a drag or a bake is kept out of, or held to; None for neither.

    Raises:
        RequestError: They do not fit the model.
    """
    given = {"kept": request.locked, "along": request.held_to}
    parts = {name: model.latents(data) for name, data in given.items() if data}
    return Locked(**parts) if parts else None


class SequenceJob:
    """The part of a job that writes the frames of a sequence."""

    def __init__(
        self,
        target: FrameTarget,
        model: LoadedModel,
        job: QueuedJob,
        emit: Emit,
        fraction: float = 0.0,
    ) -> None:
        """Prepare to write.

        Args:
            target: Where the files go.
            model: The model that renders the frames.
            job: The job that the frames belong to.
            emit: Receives the events.
            fraction: The part of the request's progress, 0 to 1, that is done before the frames.
        """
        self._names = frame_names(target, model.generator)
        self._model = model
        self._job = job
        self._emit = emit
        self._fraction = fraction

    def write(
        self,
        picture_of: Callable[[int], Picture],
        rows: range,
        *,
        skip_existing: bool = False,
        keep: bool = False,
    ) -> None:
        """Render rows, write their files, and report each file and the progress.

        Args:
            picture_of: Returns the picture of a row.
            rows: The rows to write.
            skip_existing: Whether rows whose files exist are left out.
            keep: Whether the files that are written stay if the job is cancelled or fails.

        Raises:
            JobCancelledError: The job was cancelled.
            OSError: A file cannot be written.
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
            picture_of,
            rows,
            self._names,
            skip_existing=skip_existing,
            keep=keep,
            on_written=on_written,
            on_rendered=on_rendered,
        )
