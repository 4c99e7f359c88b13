# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the request of *Apply to Many*: the strength of a change in each of some images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from draggan_blender.protocol.directions import moved
from draggan_blender.protocol.many import AppliedToOne, ApplyToMany
from stylegan2 import Generator

from ..arrays import FloatArray
from ..errors import RequestError
from ..inputs import check_latent
from ..models import LoadedModel, sample_latent
from ..output.frames import write_png
from ..output.render import render_image
from ..pictures import Picture
from ..solving.same_end import SameEnd
from .job_parts import Emit, check_cancelled
from .job_queue import QueuedJob
from .sheet_job import small_image


def apply_to_many(request: ApplyToMany, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
    """Solve the strength in each image, write its file if one is wanted, and report it.

    Raises:
        JobCancelledError: The request was cancelled; files that were written are removed.
        RequestError: The change or a picture does not fit the model, or moves no handle.
        OSError: A file cannot be written.
    """
    written: list[Path] = []
    try:
        _apply(request, model, job, emit, written)
    except BaseException:
        # A part of the images is no result.
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _apply(
    request: ApplyToMany, model: LoadedModel, job: QueuedJob, emit: Emit, written: list[Path]
) -> None:
    generator = model.generator
    change = _latent_of(generator, request.change)
    solver = SameEnd(
        generator,
        _latent_of(generator, request.origin),
        change,
        np.array(request.handles_px, dtype=np.float32),
        np.array(request.pins_px, dtype=np.float32).reshape(-1, 2),
        request.strength,
        lambda: check_cancelled(job),
    )
    for index, picture in enumerate(_pictures(request, model)):
        check_cancelled(job)
        check_latent(generator, picture.latent)
        found = solver.apply(picture.latent)
        if request.exact:
            found = solver.finish(picture.latent, found)
        own, strength = change, found.strength
        if found.rest is not None:
            own, strength = np.float32(strength) * change + found.rest, 1.0
        result = model.picture(moved(picture.to_bytes(), np.float32(strength) * own))
        if request.image_paths:
            path = Path(request.image_paths[index])
            write_png(path, render_image(generator, result))
            written.append(path)
        pixels = small_image(generator, result, request.size_px)
        height, width, _ = pixels.shape
        emit(
            AppliedToOne(
                request_id=request.request_id,
                index=index,
                latent=picture.latent.astype("<f4").tobytes(),
                change=own.astype("<f4").tobytes(),
                strength=strength,
                problem=found.problem,
                width=width,
                height=height,
                pixels=pixels.tobytes(),
            )
        )


def _pictures(request: ApplyToMany, model: LoadedModel) -> Iterator[Picture]:
    for seed in request.seeds:
        generator = model.generator
        yield Picture(sample_latent(generator, seed, request.truncation_psi, request.label))
    at = 0
    for size in request.sizes:
        yield model.picture(request.pictures[at : at + size])
        at += size


def _latent_of(generator: Generator, data: bytes) -> FloatArray:
    wanted = 4 * generator.num_ws * generator.w_dim
    if len(data) != wanted:
        raise RequestError(
            f"this model has latents of {wanted} bytes, but the one of the slider has {len(data)}; "
            "it belongs to another model"
        )
    values = np.frombuffer(data, "<f4").reshape(generator.num_ws, generator.w_dim)
    return values.astype(np.float32)
