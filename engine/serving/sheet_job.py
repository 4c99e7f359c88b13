# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images without files: of seeds, one after the other, and of a picture.

The request for seeds can be cancelled between two images.
"""

from __future__ import annotations

import torch

from draggan_blender.protocol.drag_messages import Preview
from draggan_blender.protocol.explore import PreviewPicture, SampleSheet, SeedThumbnail
from draggan_blender.protocol.pictures import NO_LABEL
from stylegan2 import Generator

from ..arrays import FloatArray
from ..inputs import check_latent, device_of
from ..models import LoadedModel, sample_latent
from ..output.render import preview_pixels, render_images
from ..pictures import OpenPicture, Picture
from .job_parts import Emit, check_cancelled
from .job_queue import QueuedJob


def render_sheet(request: SampleSheet, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
    """Render the image of each seed, and report it.

    Raises:
        JobCancelledError: The request was cancelled.
        RequestError: A seed or the truncation is out of range.
    """
    generator = model.generator
    for seed in request.seeds:
        check_cancelled(job)
        pixels = seed_pixels(
            generator, seed, request.truncation_psi, request.size_px, request.label
        )
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


def seed_pixels(
    generator: Generator, seed: int, truncation_psi: float, size_px: int, label: int = NO_LABEL
) -> FloatArray:
    """Return the small image of a seed, ``H x W x 4`` float32, as Blender stores images.

    Args:
        generator: The generator, on any device.
        seed: As of ``models.sample_latent``.
        truncation_psi: Likewise.
        size_px: As in ``explore.SampleSheet``.
        label: As of ``models.sample_latent``.

    Raises:
        RequestError: The seed or the truncation is out of range.
    """
    latent = sample_latent(generator, seed, truncation_psi, label)
    rows = torch.from_numpy(latent[None]).to(device_of(generator))
    return preview_pixels(render_images(generator, rows, block_for(generator, size_px))[0])


def render_preview(request: PreviewPicture, model: LoadedModel, emit: Emit) -> None:
    """Render a picture small, and report it.

    Raises:
        RequestError: The picture is damaged, or does not fit the model.
    """
    pixels = small_image(model.generator, model.picture(request.picture), request.size_px)
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


def small_image(generator: Generator, picture: Picture, size_px: int) -> FloatArray:
    """Return the small image of a picture, ``H x W x 4`` float32, as Blender stores images.

    Args:
        generator: The generator, on any device.
        picture: A picture of it.
        size_px: As in ``explore.SampleSheet``.

    Raises:
        RequestError: The picture does not fit the model.
    """
    latent = check_latent(generator, picture.latent)
    canvas = OpenPicture(picture).canvas(generator)
    block = block_for(generator, size_px)
    return preview_pixels(render_images(generator, latent[None], block, canvas)[0])


def block_for(generator: Generator, size_px: int) -> int:
    """Return the smallest block whose image is as large as wanted, or the last block."""
    sizes = generator.resolutions
    return next((size for size in sizes if size >= size_px), sizes[-1])
