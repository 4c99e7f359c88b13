# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the request of *Apply to Many*: the strength of a change in each of some images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from draggan_blender.protocol.directions import moved
from draggan_blender.protocol.many import AppliedToOne, ApplyToMany

from ..inputs import check_latent
from ..models import LoadedModel, sample_latent
from ..output.frames import write_image
from ..output.render import render_image
from ..pictures import Picture
from ..solving.same_end import Applied, SameEnd
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
    change = model.latent(request.change)
    solver = SameEnd(
        generator,
        model.latent(request.origin),
        change,
        np.array(request.handles_px, dtype=np.float32),
        np.array(request.pins_px, dtype=np.float32).reshape(-1, 2),
        request.strength,
        lambda: check_cancelled(job),
    )
    for index, picture in enumerate(_pictures(request, model)):
        check_cancelled(job)
        check_latent(generator, picture.latent)
        found = solver.apply(picture.latent, exact=request.exact)
        added = found.added(change)
        own, strength = (change, found.strength) if found.rest is None else (added, 1.0)
        result = model.picture(moved(picture.to_bytes(), added))
        if request.image_paths:
            image = render_image(generator, result, every_channel=True)
            written += write_image(Path(request.image_paths[index]), image)
        pixels = small_image(generator, result, request.size_px)
        height, width, _ = pixels.shape
        emit(
            AppliedToOne(
                request_id=request.request_id,
                index=index,
                latent=picture.latent.astype("<f4").tobytes(),
                change=own.astype("<f4").tobytes(),
                strength=strength,
                problem=found.problem or _masked_problem(picture, found),
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


def _masked_problem(picture: Picture, found: Applied) -> str:
    """Return a sentence if a masked edit of a picture covers a place; empty otherwise.

    The content is followed in the image of the picture's lowest latent, over which the edits lie.
    """
    places = np.floor(found.places.cpu().numpy()).astype(np.int64)
    for layer in picture.layers:
        height, width = layer.mask.shape
        x, y = places[:, 0].clip(0, width - 1), places[:, 1].clip(0, height - 1)
        if layer.mask[y, x].any():
            return "a handle lies in a masked edit of this image, where it is not followed; compare"
    return ""
