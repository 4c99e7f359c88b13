# SPDX-License-Identifier: GPL-3.0-or-later
"""What each request does, in terms of the algorithms; events go out as messages.

A job returns when everything it was to write stands, and raises otherwise; `worker` turns either
into the request's one ending.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from draggan_blender.protocol.messages import (
    Drag,
    DragFinished,
    FrameTarget,
    FrameWritten,
    LoadModel,
    Message,
    ModelLoaded,
    ModelRequest,
    Preview,
    Progress,
    RenderLatent,
    RenderTrack,
    Sample,
    Sampled,
    Step,
)

from .arrays import ByteArray, FloatArray
from .drag import DragResult, DragStep, drag
from .drag_options import DragOptions
from .errors import RequestError
from .even_rows import even_rows
from .frame_writer import FrameNames, FrameWriter, write_png
from .inputs import check_latent
from .job_queue import Job
from .models import LoadedModel, ModelCache, sample_latent
from .render import preview_pixels, render_frames, render_images
from .track import Track

_PREVIEW_INTERVAL_S = 1 / 15
_DRAG_SHARE = 0.9
"""The part of a drag's progress bar that belongs to the steps; the rest is writing the frames."""

Emit = Callable[[Message], None]
Point = tuple[float, float]


class JobCancelledError(Exception):
    """The person has given the request up."""


class JobRunner:
    """Does one request after the other with the model that is loaded."""

    def __init__(self, device: torch.device, emit: Emit) -> None:
        self._models = ModelCache(device)
        self._emit = emit

    def run(self, job: Job) -> None:
        """Do what a request asks for.

        Raises:
            JobCancelledError: it was cancelled; nothing of it is left.
            RequestError: it cannot be done.
            ModelError: its model cannot be read.
            OSError: a file cannot be read or written.
        """
        request = job.request
        if not isinstance(request, ModelRequest):
            raise RequestError(f"this engine cannot do a {request.kind} request; update it")
        check_cancelled(job)
        model = self._model(request)
        check_cancelled(job)
        if isinstance(request, Sample):
            self._sample(request, model)
        elif isinstance(request, RenderLatent):
            self._render_latent(request, model)
        elif isinstance(request, RenderTrack):
            self._render_track(request, model, job)
        elif isinstance(request, Drag):
            _DragJob(request, model, job, self._emit).run()
        elif not isinstance(request, LoadModel):
            raise RequestError(f"this engine cannot do a {request.kind} request; update it")

    def _model(self, request: ModelRequest) -> LoadedModel:
        if not self._models.holds(request.model_path):
            text = f"Loading {Path(request.model_path).name}"
            self._emit(Progress(request_id=request.request_id, fraction=0.0, text=text))
        model, is_new = self._models.get(request.model_path)
        model.require(request.model_sha256)
        if is_new or isinstance(request, LoadModel):
            generator = model.generator
            _, height, width = generator.img_shape
            loaded = ModelLoaded(
                request_id=request.request_id,
                path=str(model.path),
                sha256=model.sha256,
                width=width,
                height=height,
                num_ws=generator.num_ws,
                w_dim=generator.w_dim,
                z_dim=generator.z_dim,
                c_dim=generator.c_dim,
            )
            self._emit(loaded)
        return model

    def _sample(self, request: Sample, model: LoadedModel) -> None:
        latent = sample_latent(model.generator, request.seed, request.truncation_psi)
        _write_image(model, latent, request.image_path)
        self._emit(Sampled(request_id=request.request_id, latent=latent_bytes(latent)))

    def _render_latent(self, request: RenderLatent, model: LoadedModel) -> None:
        _write_image(model, latent_from_bytes(request.latent, model), request.image_path)

    def _render_track(self, request: RenderTrack, model: LoadedModel, job: Job) -> None:
        track = Track.from_bytes(request.track)
        model.require(track.model_sha256)
        check_latent(model.generator, track.start)
        write_frames(track.latents(), request.frames, model, job, self._emit, 0.0)


class _DragJob:
    """One drag: the loop, its events, the frames and the track."""

    def __init__(self, request: Drag, model: LoadedModel, job: Job, emit: Emit) -> None:
        self._request = request
        self._model = model
        self._job = job
        self._emit = emit
        self._options = _options(request)
        self._preview_due = 0.0
        self._first_distance_px = 0.0
        self._fraction = 0.0

    def run(self) -> None:
        """Do it all; see `JobRunner.run` for what it raises."""
        request, model = self._request, self._model
        handles = np.array([pair.handle_px for pair in request.pairs], dtype=np.float32)
        targets = np.array([pair.target_px for pair in request.pairs], dtype=np.float32)
        result = drag(
            model.generator,
            latent_from_bytes(request.latent, model),
            handles,
            targets,
            self._options,
            mask=_mask(request.mask, model),
            on_step=self._on_step,
            should_stop=self._job.stopped.is_set,
        )
        check_cancelled(self._job)
        self._preview(check_latent(model.generator, result.latents[-1]), len(result.latents) - 1)
        result = even_rows(result, model.generator.img_shape[2])
        write_frames(result.latents, request.frames, model, self._job, self._emit, self._fraction)
        track = Track.from_drag(
            result,
            targets,
            self._options,
            model_name=model.path.name,
            model_sha256=model.sha256,
        )
        data = track.to_bytes()
        track.save(Path(request.frames.folder) / "track.npz")
        self._finish(result, data)

    def _on_step(self, step: DragStep) -> None:
        check_cancelled(self._job)
        request = self._request
        self._emit(
            Step(
                request_id=request.request_id,
                drag_id=request.drag_id,
                step=step.step,
                loss=step.loss,
                distance_px=step.distance_px,
                handles_px=_points(step.handles_px),
            )
        )
        self._progress(step)
        if step.step == 0 or time.monotonic() >= self._preview_due:
            self._preview(step.latent, step.step)

    def _progress(self, step: DragStep) -> None:
        """Either the way that is done or the steps that are used up, whichever is further on."""
        if step.step == 0:
            self._first_distance_px = max(step.distance_px, 1e-6)
        used = step.step / self._options.max_steps if self._options.max_steps else 0.0
        done = 1 - step.distance_px / self._first_distance_px
        self._fraction = max(self._fraction, _DRAG_SHARE * min(1.0, max(used, done)))
        text = f"Step {step.step}, {step.distance_px:.1f} px to go"
        self._emit(
            Progress(request_id=self._request.request_id, fraction=self._fraction, text=text)
        )

    def _preview(self, latent: torch.Tensor, step: int) -> None:
        started = time.monotonic()
        pixels = preview_pixels(render_images(self._model.generator, latent[None])[0])
        height, width, _ = pixels.shape
        self._emit(
            Preview(
                request_id=self._request.request_id,
                drag_id=self._request.drag_id,
                step=step,
                width=width,
                height=height,
                pixels=pixels.tobytes(),
            )
        )
        # On a slow machine at most half of the time goes into being looked at.
        now = time.monotonic()
        self._preview_due = now + max(_PREVIEW_INTERVAL_S, now - started)

    def _finish(self, result: DragResult, track: bytes) -> None:
        request = self._request
        self._emit(
            DragFinished(
                request_id=request.request_id,
                drag_id=request.drag_id,
                status=result.status.value,
                reason=result.reason,
                steps=result.steps,
                distance_px=float(result.distances_px[-1]),
                seconds=result.seconds,
                latent=latent_bytes(result.latents[-1]),
                track=track,
                frame_count=len(result.handles_px),
                handles_px=result.handles_px.astype("<f4").tobytes(),
            )
        )


def check_cancelled(job: Job) -> None:
    """Leave the job if it has been cancelled.

    Raises:
        JobCancelledError: it has.
    """
    if job.cancelled.is_set():
        raise JobCancelledError


def write_frames(
    latents: FloatArray,
    target: FrameTarget,
    model: LoadedModel,
    job: Job,
    emit: Emit,
    fraction: float,
) -> None:
    """Render every row and write it; `fraction` of the request's progress is done before.

    Args:
        latents: `T x num_ws x w_dim` float32.

    Raises:
        JobCancelledError: the files written so far are removed.
        OSError: a file cannot be written; likewise.
    """
    request_id = job.request.request_id
    names = FrameNames(Path(target.folder), target.stem, target.first_number)

    def on_written(number: int, path: Path) -> None:
        emit(FrameWritten(request_id=request_id, number=number, path=str(path)))

    with FrameWriter(names, on_written) as writer:
        for index, image in enumerate(render_frames(model.generator, latents)):
            check_cancelled(job)
            writer.add(image, index)
            done = fraction + (1 - fraction) * (index + 1) / len(latents)
            text = f"Writing frame {index + 1} of {len(latents)}"
            emit(Progress(request_id=request_id, fraction=done, text=text))


def latent_bytes(latent: FloatArray) -> bytes:
    """A latent as the wire has it: float32, little-endian, row by row."""
    return latent.astype("<f4").tobytes()


def latent_from_bytes(data: bytes, model: LoadedModel) -> FloatArray:
    """The latent `num_ws x w_dim` float32 of the wire's bytes.

    Raises:
        RequestError: it has not the size that the model needs.
    """
    rows, columns = model.generator.num_ws, model.generator.w_dim
    if len(data) != rows * columns * 4:
        raise RequestError(
            f"the latent has {len(data)} bytes, but {model.path.name} needs "
            f"{rows} x {columns} x 4; it belongs to another model"
        )
    return np.frombuffer(data, dtype="<f4").reshape(rows, columns).astype(np.float32)


def _mask(data: bytes, model: LoadedModel) -> ByteArray | None:
    if not data:
        return None
    _, height, width = model.generator.img_shape
    if len(data) != height * width:
        raise RequestError(
            f"the mask has {len(data)} pixels, but the image of {model.path.name} has "
            f"{width} x {height}; make the mask again"
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(height, width)


def _options(request: Drag) -> DragOptions:
    return DragOptions(**asdict(request.settings))


def _points(rows: FloatArray) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in rows)


def _write_image(model: LoadedModel, latent: FloatArray, image_path: str) -> None:
    if not image_path:
        raise RequestError("the path of the image to write must not be empty")
    rows = check_latent(model.generator, latent)[None]
    write_png(Path(image_path), render_images(model.generator, rows)[0])
