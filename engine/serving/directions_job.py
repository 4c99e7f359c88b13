# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the requests for the directions of a model, and for strips of small pictures."""

from __future__ import annotations

from draggan_blender.protocol.direction_files import to_npz
from draggan_blender.protocol.direction_messages import (
    DirectionsFound,
    FindDirections,
    PictureStrip,
    PullBack,
    PulledBack,
    StripPicture,
)

from ..inputs import check_latent
from ..models import LoadedModel
from ..solving.directions import find_directions
from ..solving.typical import distance, pulled_back
from .job_parts import Emit, check_cancelled
from .job_queue import QueuedJob
from .sheet_job import small_image


def find_request(request: FindDirections, model: LoadedModel, emit: Emit) -> None:
    """Find the directions of a request's model, and report them."""
    data = to_npz(find_directions(model.generator))
    emit(DirectionsFound(request_id=request.request_id, directions=data))


def pull_back(request: PullBack, model: LoadedModel, emit: Emit) -> None:
    """Find the typical latent near a request's picture, and report it.

    Raises:
        RequestError: The picture is damaged, or does not fit the model.
    """
    generator, latent = model.generator, model.picture(request.picture).latent
    check_latent(generator, latent)
    found = pulled_back(generator, latent)
    emit(
        PulledBack(
            request_id=request.request_id,
            latent=found.astype("<f4").tobytes(),
            before=distance(generator, latent),
            after=distance(generator, found),
        )
    )


def render_strip(request: PictureStrip, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
    """Render each picture of a request small, and report it.

    Raises:
        JobCancelledError: The request was cancelled.
        RequestError: A picture is damaged, or does not fit the model.
    """
    at = 0
    for index, size in enumerate(request.sizes):
        check_cancelled(job)
        picture = model.picture(request.pictures[at : at + size])
        at += size
        pixels = small_image(model.generator, picture, request.size_px)
        height, width, _ = pixels.shape
        emit(
            StripPicture(
                request_id=request.request_id,
                index=index,
                width=width,
                height=height,
                pixels=pixels.tobytes(),
            )
        )
