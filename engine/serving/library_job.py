# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds a model to a person's library: checks it, converts it once, and renders its thumbnail."""

from __future__ import annotations

from pathlib import Path

import torch

from draggan_blender.protocol.library import AddModel, ModelAdded
from draggan_blender.protocol.messages import Progress
from stylegan2 import convert_checkpoint, inspect_checkpoint, sha256_of

from ..library_names import library_path
from ..models import ModelCache
from .job_parts import Emit, check_cancelled
from .job_queue import QueuedJob
from .sheet_job import seed_pixels

# The thumbnail shows this seed, nearer to the model's average than the images that people make.
_SEED, _TRUNCATION_PSI = 0, 0.5


def add_model(request: AddModel, device: torch.device, job: QueuedJob, emit: Emit) -> None:
    """Add a model, and report it.

    The new model is in memory only as long as this takes, beside the one that is worked with.

    Args:
        request: The request.
        device: Where its thumbnail is rendered.
        job: Its job, which may be cancelled between two parts of the work.
        emit: Receives the events.

    Raises:
        JobCancelledError: The request was cancelled; the library is as before.
        ModelError: The source is not a model that can be used, or the new file cannot be written.
    """
    source = Path(request.source_path)

    def begin(fraction: float, text: str) -> None:
        check_cancelled(job)
        emit(Progress(request_id=request.request_id, fraction=fraction, text=text))

    begin(0.0, f"Reading {source.name}")
    source_sha256 = sha256_of(source)
    path = library_path(Path(request.folder), source, source_sha256)
    is_new = not path.exists()
    try:
        if is_new:
            begin(0.2, f"Converting {source.name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            convert_checkpoint(source, path)
        begin(0.6, f"Checking {path.name}")
        info = inspect_checkpoint(path)
        begin(0.8, "Making its thumbnail")
        model = ModelCache(device).get(str(path))
        model.require_image()
        generator = model.generator
        pixels = seed_pixels(generator, _SEED, _TRUNCATION_PSI, request.size_px)
        check_cancelled(job)
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise
    _, height, width = generator.img_shape
    emit(
        ModelAdded(
            request_id=request.request_id,
            path=str(path),
            sha256=info.sha256,
            source_sha256=info.source_sha256,
            width=width,
            height=height,
            c_dim=generator.c_dim,
            license_note=info.license_note,
            thumbnail_width=pixels.shape[1],
            thumbnail_height=pixels.shape[0],
            pixels=pixels.tobytes(),
        )
    )
