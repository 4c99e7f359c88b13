# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images of seeds, one after the other, so that the request can be cancelled between them."""

from __future__ import annotations

import torch

from draggan_blender.protocol.explore import SampleSheet, SeedThumbnail

from ..inputs import device_of
from ..models import LoadedModel, sample_latent
from ..output.render import preview_pixels, render_images
from .job_parts import Emit, check_cancelled
from .job_queue import QueuedJob


def render_sheet(request: SampleSheet, model: LoadedModel, job: QueuedJob, emit: Emit) -> None:
    """Render the image of each seed, and report it.

    Raises:
        JobCancelledError: The request was cancelled.
        RequestError: A seed or the truncation is out of range.
    """
    generator = model.generator
    sizes = generator.resolutions
    resolution = next((size for size in sizes if size >= request.size_px), sizes[-1])
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
