# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images without files: of seeds, one after the other, and of a picture.

The request for seeds can be cancelled between two images.
"""

from __future__ import annotations

import torch

from draggan_blender.protocol.explore import PreviewPicture, SampleSheet, SeedThumbnail
from draggan_blender.protocol.messages import Preview
from stylegan2 import Generator

from ..inputs import device_of
from ..models import LoadedModel, sample_latent
from ..output.render import preview_pixels, render_images
from ..pictures import OpenPicture
from .job_parts import Emit, check_cancelled
from .job_queue import QueuedJob


def render_sheet(request: SampleSheet, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
    """Render the image of each seed, and report it.

    Raises:
        JobCancelledError: The request was cancelled.
        RequestError: A seed or the truncation is out of range.
    """
    generator = model.generator
    resolution = _block_for(generator, request.size_px)
    for seed in request.seeds:
        check_cancelled(job)
        latent = sample_latent(generator, seed, request.truncation_psi)
        rows = torch.from_numpy(latent[None]).to(device_of(generator))
        pixels = preview_pixels(render_images(generator, rows, resolution)[0])
        height, width, _ = pixels.shape
        emit(
            SeedThumbnail(
                request_id=request.request_id,
                seed=seed,
                width=width,
                height=height,
                pixels=pixels.tobytes(),
            )
        )


def render_preview(request: PreviewPicture, model: LoadedModel, emit: Emit) -> None:
    """Render a picture small, and report it.

    Raises:
        RequestError: The picture is damaged, or does not fit the model.
    """
    generator = model.generator
    picture = model.picture(request.picture)
    latent = torch.from_numpy(picture.latent).to(device_of(generator))
    canvas = OpenPicture(picture).canvas(generator)
    resolution = _block_for(generator, request.size_px)
    pixels = preview_pixels(render_images(generator, latent[None], resolution, canvas)[0])
    height, width, _ = pixels.shape
    emit(
        Preview(
            request_id=request.request_id,
            drag_id=request.request_id,
            step=0,
            width=width,
            height=height,
            pixels=pixels.tobytes(),
        )
    )


def _block_for(generator: Generator, size_px: int) -> int:
    """Return the smallest block whose image is as large as wanted, or the last block."""
    sizes = generator.resolutions
    return next((size for size in sizes if size >= size_px), sizes[-1])
