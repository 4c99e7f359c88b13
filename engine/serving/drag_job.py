# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a ``Drag`` request: reports its events, and writes its frames and its track.

A ``FinishDrag`` is one whose steps were made by an engine that was lost; see ``lost_drag``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import cast

from torch import Tensor

from draggan_blender.protocol.drag_messages import Drag, DragFinished, Step
from draggan_blender.protocol.file_names import TRACK_FILE
from draggan_blender.protocol.messages import FrameTarget, Progress
from draggan_blender.protocol.pairs import HandleState
from stylegan2 import ImagePass

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..inputs import check_latent, device_of
from ..machine.pull_threads import PullThreads
from ..models import LoadedModel
from ..output.even_rows import even_rows
from ..output.joined_track import joined_track, rows_before
from ..output.linked_frames import frames_taken_over
from ..output.track import Track
from ..pictures import OpenPicture
from ..solving.drag import drag, open_for
from ..solving.options import DragOptions
from ..solving.result import DragResult, DragStep
from .job_parts import (
    Emit,
    SequenceJob,
    check_cancelled,
    frame_names,
    locked_of,
    should_stop,
)
from .job_queue import QueuedJob
from .live_points import LivePairs
from .lost_drag import Keeper, forget_kept, result_of_kept
from .previews import Previews

# How long an open drag rests before its image is shown in the full size.
_FULL_SIZE_AFTER_S = 0.3
# The part of the progress bar that belongs to the steps; writing the frames has the rest.
_DRAG_SHARE = 0.9


class _LeftError(Exception):
    """An image is not needed any more; ends its computation."""


class DragJob:
    """Runs one ``Drag`` request."""

    def __init__(self, request: Drag, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
        self._request = request
        self._model = model
        self._job = job
        self._emit = emit
        self._frames = request.frames
        self._options = DragOptions(**asdict(request.settings))
        self._previews = Previews(job, request.drag_id, model, emit)
        self._live = LivePairs(request, job, self._show_at_rest, partial(_mask, model=model))
        self._pairs = self._live.pairs
        self._threads = PullThreads(device_of(model.generator))
        # The last step, its latent and picture, and since when the drag has waited after it.
        self._step = 0
        self._latent: Tensor | None = None
        self._opened: OpenPicture | None = None
        self._rests_since_s: float | None = None
        self._first_distance_px = 0.0
        self._fraction = 0.0

    def run(self) -> FloatArray | None:
        """Drag the handles, write the frames and the track, and report the result.

        Returns:
            ``num_ws x w_dim`` float32, the latent that the drag ended with.

        Raises:
            JobCancelledError: The drag was cancelled; no frame of it is left.
            RequestError: The latent, the points, the mask or the settings are not valid for the
                model.
            OSError: A file cannot be written.
        """
        self._keeper = Keeper(self._request, self._options)
        try:
            result = self._solve()
            self._keeper.end(result)
            return self._deliver(result)
        finally:
            self._keeper.close()

    def _open(self) -> OpenPicture:
        """Return the picture that the drag begins with."""
        request, model = self._request, self._model
        mask = _mask(request.mask, model)
        opened = open_for(model.picture(request.latent), mask, self._options)
        wider = _mask(request.wider_mask, model)
        return (None if wider is None else opened.widened(wider)) or opened

    def _solve(self) -> DragResult:
        """Drag the handles."""
        request, model = self._request, self._model
        points, opened = self._live.points(), self._open()
        with self._threads if request.live else contextlib.nullcontext():
            return drag(
                model.generator,
                opened.latent,
                points.handles_px,
                points.targets_px,
                self._options,
                mask=_mask(request.mask, model),
                opened=opened,
                keys=points.keys,
                radii_px=points.radii_px,
                turns=points.turns,
                judged=True,
                changes=self._live,
                locked=locked_of(request, model),
                on_step=self._on_step,
                should_stop=partial(should_stop, self._job),
                image_of=self._image_of,
            )

    def _image_of(
        self, latent: Tensor, num_layers: int, between: Callable[[], None]
    ) -> ImagePass | None:
        """Begin the preview of a latent if a person waits for it; see ``drag.drag``.

        Other drags give the same result whenever their previews are due.
        """
        if not (self._request.previews and self._live.is_open):
            return None
        if not self._previews.is_due(is_open=True):
            return None
        with self._threads.timed(self._previews.resolution):
            return self._previews.begin(latent, num_layers, between)

    def _deliver(self, result: DragResult) -> FloatArray | None:
        """Show the last image, write frames and track, and report the result."""
        request, model = self._request, self._model
        check_cancelled(self._job)
        if request.previews:
            last = check_latent(model.generator, result.latents[-1])
            self._opened = result.opened
            self._show(last, len(result.latents) - 1, stays=True)
        result = even_rows(result, model.generator.img_shape[2])
        self._frames = _placed(request, len(result.latents))
        track = Track.from_drag(
            result,
            self._options,
            model_name=model.path.name,
            model_sha256=model.sha256,
            first_number=self._frames.first_number,
        )
        if request.earlier_track:
            track = self._continue(track, result.keys)
        else:
            self._write(track)
        track.save(Path(self._frames.folder) / TRACK_FILE)
        self._finish(result, track.to_bytes())
        picture = result.picture(-1)
        return None if picture.layers else picture.latent

    def _continue(self, track: Track, keys: Sequence[Hashable]) -> Track:
        """Write the frames of the sequence that the drag continues, with its own; return both."""
        request = self._request
        earlier, count = Track.from_bytes(request.earlier_track), request.earlier_count
        track = joined_track(earlier, count, track, request.earlier_keys, keys)
        names = frame_names(self._frames, self._model.generator)
        if not request.earlier_folder:
            self._write(track)
            return track
        there = replace(names, folder=Path(request.earlier_folder), stem=request.earlier_stem)
        with frames_taken_over(there, rows_before(earlier, count), names):
            self._write(track)
        return track

    def _write(self, track: Track) -> None:
        """Write the frames of a track, except those that exist: the folder is a new one."""
        frames = SequenceJob(self._frames, self._model, self._job, self._emit, self._fraction)
        frames.write(
            track.picture, range(len(track)), skip_existing=bool(self._request.earlier_track)
        )

    def _on_step(self, step: DragStep) -> None:
        check_cancelled(self._job)
        request, pairs = self._request, self._live.pairs
        if pairs is not self._pairs:
            # The way to other targets has another length.
            self._pairs, self._first_distance_px, self._fraction = pairs, 0.0, 0.0
        self._step, self._latent, self._opened = step.step, step.latent, step.opened
        self._rests_since_s = None
        handles = _states(
            [pair.key for pair in pairs],
            step.handles_px,
            step.distances_px,
            step.turns,
            flat=step.flat,
        )
        # Whatever Blender has seen is on the disk.
        self._keeper.add(step, self._live, handles)
        self._emit(
            Step(
                request_id=request.request_id,
                drag_id=request.drag_id,
                step=step.step,
                loss=step.loss,
                distance_px=step.distance_px,
                handles=handles,
            )
        )
        self._progress(step)
        if request.previews and (
            step.step == 0 or self._previews.is_due(is_open=self._live.is_open)
        ):
            self._show(step.latent, step.step)

    def _show(
        self,
        latent: Tensor,
        step: int,
        *,
        stays: bool = False,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._previews.show(latent, step, stays=stays, opened=self._opened, between=between)

    def _leave(self, *, is_paused: bool) -> None:
        """Leave an image in its full size when the mouse has moved on, or a pause is over."""
        if self._job.has_news or (is_paused and not self._job.is_paused):
            raise _LeftError

    def _show_at_rest(self, latent: Tensor | None) -> float | None:
        """Show the image that the drag waits at: quickly, and after a while in its full size."""
        leave = partial(self._leave, is_paused=latent is None)
        latent = self._latent if latent is None else latent
        if not self._request.previews or latent is None or not self._job.shown.is_set():
            return None
        now_s = time.perf_counter()
        if self._rests_since_s is None:
            self._rests_since_s = now_s
        rest_s = self._rests_since_s + _FULL_SIZE_AFTER_S - now_s
        if not self._previews.has_shown(latent):
            self._show(latent, self._step)
        elif rest_s <= 0 and not self._previews.has_shown(latent, in_full=True):
            with contextlib.suppress(_LeftError):
                self._show(latent, self._step, stays=True, between=leave)
        return None if self._previews.has_shown(latent, in_full=True) else max(rest_s, 0.0)

    def _progress(self, step: DragStep) -> None:
        """Report the part of the distance or of the steps that is done, whichever is larger."""
        if not self._first_distance_px:
            self._first_distance_px = max(step.distance_px, 1e-6)
        used = step.step / self._options.max_steps if self._options.max_steps else 0.0
        done = 1 - step.distance_px / self._first_distance_px
        self._fraction = max(self._fraction, _DRAG_SHARE * min(1.0, max(used, done)))
        if self._live.is_open:
            # Nobody knows where an open drag ends.
            self._fraction = 0.0
        text = f"Step {step.step}, {step.distance_px:.1f} px to go"
        self._emit(
            Progress(request_id=self._request.request_id, fraction=self._fraction, text=text)
        )

    def _finish(self, result: DragResult, track: bytes) -> None:
        request = self._request
        turns = result.turns
        distances_px = result.distances_of_pairs_px()
        self._emit(
            DragFinished(
                request_id=request.request_id,
                drag_id=request.drag_id,
                status=result.status.value,
                reason=result.reason,
                steps=result.steps,
                distance_px=float(result.distances_px[-1]),
                seconds=result.seconds,
                latent=result.picture(-1).to_bytes(),
                track=track,
                first_number=self._frames.first_number,
                frame_count=len(result.handles_px),
                handles=_states(
                    result.keys,
                    result.handles_px[-1],
                    distances_px,
                    None if turns is None else turns[-1],
                    flat=result.flat,
                    lost=result.lost,
                    held=result.held,
                ),
                handles_px=result.handles_px.astype("<f4").tobytes(),
                turns=b"" if turns is None else turns.astype("<f4").tobytes(),
                is_beyond=result.is_beyond,
            )
        )


class FinishDragJob(DragJob):
    """Runs one ``FinishDrag`` request: the result of the steps that a lost engine has kept."""

    def run(self) -> FloatArray | None:
        """Write the frames and the track, and report the result.

        Raises:
            JobCancelledError: The request was cancelled; nothing of the drag is left.
            RequestError: There are no steps of the drag in its folder.
            OSError: A file cannot be read or written.
        """
        try:
            mask_of = partial(_mask, model=self._model)
            opened = self._open()
            return self._deliver(
                result_of_kept(self._request, self._model, self._options, opened, mask_of)
            )
        finally:
            forget_kept(self._request)


def _placed(request: Drag, count: int) -> FrameTarget:
    """Return the files of a sequence of ``count`` frames, which may have to begin earlier."""
    frames = request.frames
    if not request.latest:
        return frames
    first = min(frames.first_number, max(request.earliest, request.latest - count + 1))
    return replace(frames, first_number=first)


def _mask(data: bytes, model: LoadedModel) -> ByteArray | None:
    if not data:
        return None
    masks = model.masks(data)
    if len(masks) != 1:
        raise RequestError(f"a drag takes one mask, but {len(masks)} were given")
    return masks[0]


def _states(
    keys: Sequence[Hashable],
    handles_px: FloatArray,
    distances_px: FloatArray,
    turns: FloatArray | None,
    *,
    flat: Sequence[bool],
    lost: Sequence[bool] = (),
    held: Sequence[bool] = (),
) -> tuple[HandleState, ...]:
    """Return the states of P handles.

    Args:
        keys: Their keys.
        handles_px: ``P x 2`` px, their places.
        distances_px: ``P`` px, their distances from what is wanted of them.
        turns: ``P x 2``, the angles and scales of regions; None if there is no region.
        flat: For each handle, whether it cannot be followed; empty if not known.
        lost: For each handle, whether it was lost; likewise.
        held: For each handle, whether a mask holds it; likewise.
    """
    return tuple(
        HandleState(
            key=cast("int", key),
            place_px=(float(x), float(y)),
            distance_px=float(distances_px[index]),
            angle=0.0 if turns is None else float(turns[index, 0]),
            scale=1.0 if turns is None else float(turns[index, 1]),
            is_flat=bool(flat) and flat[index],
            is_lost=bool(lost) and lost[index],
            is_held=bool(held) and held[index],
        )
        for index, (key, (x, y)) in enumerate(zip(keys, handles_px, strict=True))
    )
