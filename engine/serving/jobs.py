# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs each kind of request with the algorithms, and reports events as messages.

A job returns when all its files are written, and raises otherwise. ``serving.worker`` turns either
into the one ending of the request.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from draggan_blender.protocol.direction_messages import FindDirections, PictureStrip, PullBack
from draggan_blender.protocol.drag_messages import Drag
from draggan_blender.protocol.explore import PreviewPicture, SampleSheet
from draggan_blender.protocol.file_names import TRACK_FILE
from draggan_blender.protocol.latent_file import LoadLatent
from draggan_blender.protocol.library import AddModel
from draggan_blender.protocol.live import CheckPoints
from draggan_blender.protocol.lost_drag import FinishDrag
from draggan_blender.protocol.many import ApplyToMany
from draggan_blender.protocol.messages import (
    LoadModel,
    ModelLoaded,
    ModelRequest,
    Progress,
    RenderLatent,
    RenderTrack,
    Sample,
    Sampled,
)
from draggan_blender.protocol.own_picture import BlendBack, InvertPicture
from draggan_blender.protocol.parts import FindParts
from draggan_blender.protocol.timeline import Bake, RenderLatents, TrackMade

from ..arrays import FloatArray
from ..errors import RequestError
from ..features.source import feature_block
from ..inputs import check_latent
from ..latent_files import latent_from_file
from ..models import LoadedModel, ModelCache, sample_latent
from ..output.frames import write_image
from ..output.render import render_image
from ..output.track import Track, rows_of_part
from ..pictures import Picture
from ..solving.principal import principal_components
from ..solving.structure import feature_spread
from ..solving.warm_up import look_ahead, warm_up
from . import directions_job
from .agreed_folders import AgreedFolders
from .bake_job import BakeJob
from .drag_job import DragJob, FinishDragJob
from .job_parts import Emit, JobCancelledError, SequenceJob, check_cancelled
from .job_queue import QueuedJob
from .library_job import add_model
from .many_job import apply_to_many
from .own_picture_job import InversionJob, blend_back
from .parts_job import find_request
from .point_check_job import check_request
from .sheet_job import render_preview, render_sheet

__all__ = ["Emit", "JobCancelledError", "JobRunner"]


# These find out by the image that they make whether the model makes finite ones.
_RENDERS = (Sample, RenderLatent, LoadLatent)


class JobRunner:
    """Runs requests one after the other, and keeps the last model loaded."""

    def __init__(
        self, device: torch.device, emit: Emit, folders: AgreedFolders | None = None
    ) -> None:
        self._device = device
        self._models = ModelCache(device)
        self._folders = AgreedFolders() if folders is None else folders
        # The model that Blender was told of last, and the one that has made a first step. These do
        # not keep a model in memory.
        self._told: weakref.ref[LoadedModel] | None = None
        self._warm: weakref.ref[LoadedModel] | None = None
        # The model for which getting ready has failed.
        self._unready: LoadedModel | None = None
        # The latent of the image that was shown last, which a drag may begin with.
        self._shown: FloatArray | None = None
        self._emit = emit
        # The class of a request -> what does it, given the request, its model and its job.
        self._doers: dict[type, Callable[[Any, LoadedModel, QueuedJob], None]] = {
            LoadModel: lambda request, model, job: None,
            Sample: lambda request, model, job: self._sample(request, model),
            SampleSheet: lambda request, model, job: render_sheet(request, model, job, emit),
            PreviewPicture: lambda request, model, job: render_preview(request, model, emit),
            LoadLatent: lambda request, model, job: self._load_latent(request, model),
            RenderLatent: lambda request, model, job: self._render_latent(request, model),
            RenderTrack: self._render_track,
            RenderLatents: self._render_latents,
            CheckPoints: lambda request, model, job: check_request(request, model, emit),
            FindParts: lambda request, model, job: find_request(request, model, emit),
            FindDirections: lambda request, model, job: directions_job.find_request(
                request, model, emit
            ),
            PullBack: lambda request, model, job: directions_job.pull_back(request, model, emit),
            PictureStrip: lambda request, model, job: directions_job.render_strip(
                request, model, job, emit
            ),
            ApplyToMany: lambda request, model, job: apply_to_many(request, model, job, emit),
            InvertPicture: lambda request, model, job: InversionJob(
                request, model, job, emit
            ).run(),
            BlendBack: lambda request, model, job: blend_back(request, model, job, emit),
            Drag: self._drag,
            FinishDrag: self._finish_drag,
            Bake: lambda request, model, job: BakeJob(request, model, job, emit).run(),
        }

    def run(self, job: QueuedJob) -> None:
        """Run a request to its end.

        Raises:
            JobCancelledError: The request was cancelled. A bake and the frames of a track keep
                their complete files; other requests leave none.
            RequestError: The request cannot be carried out.
            ModelError: The model cannot be read.
            OSError: A file cannot be read or written.
        """
        request = job.request
        self._folders.check(request)
        if isinstance(request, AddModel):
            add_model(request, self._device, job, self._emit)
            return
        if not isinstance(request, ModelRequest) or type(request) not in self._doers:
            raise RequestError(f"this engine cannot do a {request.kind} request; update it")
        check_cancelled(job)
        model = self._model(request)
        check_cancelled(job)
        self._doers[type(request)](request, model, job)
        if isinstance(request, _RENDERS):
            self._models.note_image()

    def get_ready(self, is_idle: Callable[[], bool]) -> None:
        """Compute what the next drag would wait for; called between two requests.

        Args:
            is_idle: Returns whether no request waits; called again from time to time.
        """
        model = self._models.current
        if model is not None and model is not self._unready:
            # If this fails, it is not tried again after each request.
            self._unready = model
            principal_components(model.generator)
            feature_spread(model.generator, feature_block(model.generator))
            if self._warm is None or self._warm() is not model:
                self._warm = weakref.ref(model)
                warm_up(model.generator, sample_latent(model.generator, 0, 0.5))
            if self._shown is not None:
                look_ahead(model.generator, self._shown, is_idle)
            self._unready = None

    def _model(self, request: ModelRequest) -> LoadedModel:
        if not self._models.holds(request.model_path):
            text = f"Loading {Path(request.model_path).name}"
            self._emit(Progress(request_id=request.request_id, fraction=0.0, text=text))
        model = self._models.get(request.model_path)
        model.require(request.model_sha256)
        if not isinstance(request, _RENDERS):
            self._models.require_image()
        is_told = self._told is not None and self._told() is model
        if not is_told or isinstance(request, LoadModel):
            self._told, generator = weakref.ref(model), model.generator
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
                notes=generator.notes,
            )
            self._emit(loaded)
        return model

    def _sample(self, request: Sample, model: LoadedModel) -> None:
        latent = sample_latent(model.generator, request.seed, request.truncation_psi, request.label)
        _write_image(model, Picture(latent), request.image_path)
        self._shown = latent
        self._emit(Sampled(request_id=request.request_id, latent=latent.astype("<f4").tobytes()))

    def _load_latent(self, request: LoadLatent, model: LoadedModel) -> None:
        num_ws, w_dim = model.generator.num_ws, model.generator.w_dim
        latent = latent_from_file(Path(request.latent_path), num_ws, w_dim)
        _write_image(model, Picture(latent), request.image_path)
        self._shown = latent
        self._emit(Sampled(request_id=request.request_id, latent=latent.astype("<f4").tobytes()))

    def _render_latent(self, request: RenderLatent, model: LoadedModel) -> None:
        picture = model.picture(request.latent)
        self._shown = None if picture.layers else picture.latent
        _write_image(model, picture, request.image_path)

    def _drag(self, request: Drag, model: LoadedModel, job: QueuedJob) -> None:
        self._shown = None
        self._shown = DragJob(request, model, job, self._emit).run()

    def _finish_drag(self, request: FinishDrag, model: LoadedModel, job: QueuedJob) -> None:
        self._shown = FinishDragJob(request, model, job, self._emit).run()

    def _render_track(self, request: RenderTrack, model: LoadedModel, job: QueuedJob) -> None:
        track = Track.from_bytes(request.track)
        model.require(track.model_sha256)
        check_latent(model.generator, track.start)
        rows = rows_of_part(track, request.first_row, request.row_count)
        frames = SequenceJob(request.frames, model, job, self._emit)
        # Written files stay: each is complete, and another worker may have written the same one.
        frames.write(track.picture, rows, skip_existing=request.skip_existing, keep=True)

    def _render_latents(self, request: RenderLatents, model: LoadedModel, job: QueuedJob) -> None:
        track = Track.from_pictures(
            _pictures(request, model),
            model_name=model.path.name,
            model_sha256=model.sha256,
            first_number=request.frames.first_number,
        )
        data = track.to_bytes()
        Track.from_bytes(data)  # refuse an invalid track before rendering it
        SequenceJob(request.frames, model, job, self._emit).write(track.picture, range(len(track)))
        track.save(Path(request.frames.folder) / TRACK_FILE)
        made = TrackMade(request_id=request.request_id, track=data, frame_count=len(track))
        self._emit(made)


def _pictures(request: RenderLatents, model: LoadedModel) -> list[Picture]:
    """Return the pictures of a request, one for each frame."""
    if not request.sizes:
        return [Picture(latent) for latent in model.latents(request.latents)]
    ends = np.cumsum(request.sizes).tolist()
    starts = [0, *ends[:-1]]
    return [
        model.picture(request.latents[start:end]) for start, end in zip(starts, ends, strict=True)
    ]


def _write_image(model: LoadedModel, picture: Picture, image_path: str) -> None:
    if not image_path:
        raise RequestError("the path of the image to write must not be empty")
    check_latent(model.generator, picture.latent)
    write_image(Path(image_path), render_image(model.generator, picture, every_channel=True))
