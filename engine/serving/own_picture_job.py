# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the requests about a person's own picture: ``InvertPicture`` and ``BlendBack``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from draggan_blender.protocol.messages import FrameWritten, Progress
from draggan_blender.protocol.own_picture import Alignment as FrameOfPicture
from draggan_blender.protocol.own_picture import BlendBack, InvertPicture, PictureInverted
from stylegan2 import sha256_of

from ..inputs import device_of
from ..inversion.alignment import Alignment
from ..inversion.blending import Blended
from ..inversion.edits import blended, write_blended, write_single
from ..inversion.finding import FoundPicture, find, require_changeable
from ..inversion.loss_choice import LossChoice, make_loss
from ..inversion.solve import InversionOptions, InversionStep
from ..inversion.source import read_picture
from ..inversion.tuning import TuningOptions
from ..inversion.verdict import coverage_of
from ..models import LoadedModel
from ..output.frames import FrameNames, write_image
from ..output.render import render_image
from ..output.track import Track
from .job_parts import Emit, check_cancelled, should_stop
from .job_queue import QueuedJob
from .previews import Previews

# The part of the progress that belongs to the latent if the model is tuned as well.
_LATENT_SHARE = 0.5
_TEXTS = {
    "starts": "Comparing with the model's images",
    "w": "Finding the picture",
    "w+": "Finding the picture's details",
    "noise": "Finding the noise",
    "tuning": "Tuning the model",
}


class InversionJob:
    """Runs one ``InvertPicture`` request."""

    def __init__(
        self, request: InvertPicture, model: LoadedModel, job: QueuedJob, emit: Emit
    ) -> None:
        self._request = request
        self._model = model
        self._job = job
        self._emit = emit
        self._previews = Previews(job, request.request_id, model, emit)
        self._count = 0

    def run(self) -> None:
        """Find the latent, tune the model if asked, write the image, and report the result.

        Raises:
            JobCancelledError: The request was cancelled; no file of it is left.
            RequestError: The picture, its frame or the weights of the loss cannot be used, a tuned
                model is to be tuned, or noise maps change nothing in the model.
            OSError: A file cannot be read or written.
        """
        request, model = self._request, self._model
        require_changeable(model, tune=request.tune, noise=request.noise)
        choice = LossChoice(request.loss, Path(request.loss_path) if request.loss_path else None)
        found = find(
            model,
            read_picture(Path(request.picture_path)),
            _frame(request.alignment),
            InversionOptions(
                steps=request.steps,
                seconds=request.seconds,
                align=request.refine,
                noise=request.noise,
            ),
            TuningOptions(seconds=request.tune_seconds) if request.tune else None,
            loss=make_loss(choice, model.path, device_of(model.generator)),
            should_stop=partial(should_stop, self._job),
            on_step=self._on_step,
        )
        check_cancelled(self._job)
        self._finish(found)

    def _finish(self, found: FoundPicture) -> None:
        request, model = self._request, self._model
        path, sha256 = model.path, model.sha256
        if found.changes:
            path = Path(request.difference_path)
            found.difference(model).save(path)
            sha256 = sha256_of(path)
        latent, frame, error = (
            found.inversion.latent,
            found.inversion.alignment,
            found.inversion.error,
        )
        image = render_image(found.generator, latent, every_channel=True)
        write_image(Path(request.image_path), image)
        self._emit(
            PictureInverted(
                request_id=request.request_id,
                latent=latent.astype("<f4").tobytes(),
                alignment=FrameOfPicture(
                    centre_px=(frame.centre_x, frame.centre_y),
                    angle=math.radians(frame.angle_deg),
                    size_px=frame.size_px,
                ),
                error=error,
                tuned_error=-1.0 if found.tuning is None else found.tuning.error,
                coverage=coverage_of(error).value,
                sentence=found.sentence,
                model_path=str(path),
                model_sha256=sha256,
            )
        )

    def _on_step(self, step: InversionStep) -> None:
        check_cancelled(self._job)
        request, fraction = self._request, step.fraction
        is_tuning = step.phase == "tuning"
        if request.tune:
            begin = _LATENT_SHARE if is_tuning else 0.0
            fraction = begin + (1 - _LATENT_SHARE if is_tuning else _LATENT_SHARE) * fraction
        self._count += 1
        text = f"{_TEXTS[step.phase]}, {fraction:.0%}"
        self._emit(Progress(request_id=request.request_id, fraction=fraction, text=text))
        if request.previews and (self._count == 1 or self._previews.is_due()):
            if is_tuning:
                self._previews.use(replace(self._model, generator=step.generator))
            self._previews.show(step.latent, self._count)


def blend_back(request: BlendBack, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
    """Compose an edit onto its picture, and write the files.

    Raises:
        JobCancelledError: The request was cancelled; no file of it is left.
        RequestError: The picture, its frame or a latent cannot be used.
        OSError: A file cannot be read or written.
    """
    pixels = read_picture(Path(request.picture_path))
    track = None
    if request.track:
        track = Track.from_bytes(request.track)
        model.require(track.model_sha256)
        pictures = [track.picture(row) for row in range(len(track))]
    else:
        pictures = [model.picture(request.latent)]
    composed = blended(
        model.generator,
        pixels,
        _frame(request.alignment),
        model.latent(request.base),
        pictures,
        partial(check_cancelled, job),
    )
    if track is not None:
        _write_sequence(request, emit, composed, len(track))
        return
    (one,) = composed
    check_cancelled(job)
    write_single(one, Path(request.image_path), matte=request.matte)


def _write_sequence(
    request: BlendBack, emit: Emit, composed: Iterator[Blended], count: int
) -> None:
    def on_written(number: int, path: Path) -> None:
        emit(FrameWritten(request_id=request.request_id, number=number, path=str(path)))

    def on_row(row: int) -> None:
        text = f"Blending frame {row + 1} of {count}"
        fraction = (row + 1) / count
        emit(Progress(request_id=request.request_id, fraction=fraction, text=text))

    target = request.frames
    names = FrameNames(Path(target.folder), target.stem, target.first_number)
    write_blended(composed, names, matte=request.matte, on_written=on_written, on_row=on_row)


def _frame(frame: FrameOfPicture) -> Alignment:
    return Alignment(*frame.centre_px, math.degrees(frame.angle), frame.size_px)
