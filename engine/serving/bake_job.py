# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a ``Bake`` request and reports its events."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from draggan_blender.protocol.messages import Progress
from draggan_blender.protocol.timeline import Bake, BakeFinished, FrameSolved

from ..baking.folder import BakeFolder
from ..baking.row import SolvedRow
from ..baking.run import Baked, NothingSolvedError, solve_into
from ..baking.solve import BakeReport
from ..errors import RequestError
from ..inputs import check_latent
from ..models import LoadedModel
from ..solving.result import DragStep
from .edit_file import animated_edit, decode_edit
from .job_parts import (
    Emit,
    JobCancelledError,
    SequenceJob,
    check_cancelled,
    frame_names,
    should_stop,
)
from .job_queue import QueuedJob
from .previews import Previews

# The part of the progress bar that belongs to solving, if the frames are written as well.
_SOLVE_SHARE = 0.9


class BakeJob:
    """Runs one ``Bake`` request."""

    def __init__(self, request: Bake, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
        self._request = request
        self._model = model
        self._job = job
        self._emit = emit
        self._solve_share = _SOLVE_SHARE if request.write_frames else 1.0
        self._previews = Previews(job, request.request_id, model, emit)
        self._frame_count = 0

    def run(self) -> None:
        """Solve the edit, write its frames if they are wanted, and report the result.

        Raises:
            JobCancelledError: The bake was cancelled, or stopped before its first frame was
                solved. The folder keeps what a later bake can continue from.
            RequestError: The edit cannot be read, or it does not fit the model or the frames.
            OSError: A file cannot be read or written.
        """
        request, target = self._request, self._request.frames
        edit = animated_edit(decode_edit(request.edit), self._model)
        if target.first_number != edit.first_number:
            raise RequestError(
                f"the edit starts at frame {edit.first_number}, but its files would start at "
                f"frame {target.first_number}; bake the edit again"
            )
        self._edit = edit
        self._frame_count = len(edit)
        names, earlier = frame_names(target, self._model.generator), None
        if request.earlier_folder:
            earlier = BakeFolder(replace(names, folder=Path(request.earlier_folder)))
        report = BakeReport(
            on_step=self._on_step,
            on_row=self._on_row,
            should_stop=partial(should_stop, self._job),
        )
        folder = BakeFolder(names)
        try:
            baked = solve_into(folder, edit, request.edit, self._model, report, earlier=earlier)
        except NothingSolvedError:
            raise JobCancelledError from None
        check_cancelled(self._job)
        if request.write_frames:
            frames = SequenceJob(target, self._model, self._job, self._emit, self._solve_share)
            rows = range(len(baked.track))
            frames.write(baked.track.picture, rows, skip_existing=True, keep=True)
        self._finish(baked)

    def _on_step(self, row: int, step: DragStep) -> None:
        check_cancelled(self._job)
        if step.step:
            self._progress(row, row, step.step)
        if self._request.previews and self._previews.is_due():
            opened = self._edit.inputs(row).opened
            self._previews.show(step.latent, self._number(row), opened=opened)

    def _on_row(self, row: int, solved: SolvedRow, is_new: bool) -> None:
        check_cancelled(self._job)
        if not is_new:
            return
        solved_event = FrameSolved(
            request_id=self._request.request_id,
            number=self._number(row),
            steps=solved.steps,
            distance_px=solved.distance_px,
        )
        self._emit(solved_event)
        self._progress(row, row + 1, solved.steps)
        # The last frame is always shown: it stays on the screen when the bake is finished.
        is_last = row == self._frame_count - 1
        if self._request.previews and (is_last or self._previews.is_due()):
            latent = check_latent(self._model.generator, solved.latent)
            opened = self._edit.inputs(row).opened
            self._previews.show(latent, self._number(row), stays=is_last, opened=opened)

    def _number(self, row: int) -> int:
        return self._request.frames.first_number + row

    def _progress(self, row: int, done: int, steps: int) -> None:
        unit = "step" if steps == 1 else "steps"
        self._emit(
            Progress(
                request_id=self._request.request_id,
                fraction=self._solve_share * done / self._frame_count,
                text=f"Frame {row + 1} of {self._frame_count}, {steps} {unit}",
            )
        )

    def _finish(self, baked: Baked) -> None:
        track = baked.track
        self._emit(
            BakeFinished(
                request_id=self._request.request_id,
                status=track.status,
                reached_count=baked.reached_count,
                solved_count=baked.solved_count,
                steps=baked.steps,
                seconds=baked.seconds,
                track=baked.data,
                frame_count=len(track),
                handles_px=track.handles_px.astype("<f4").tobytes(),
                turns=b"" if baked.turns is None else baked.turns.astype("<f4").tobytes(),
            )
        )
