# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images of seeds: the same images as those of ``Sample``, and cancelled between two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from draggan_blender.protocol.drag_messages import Preview
from draggan_blender.protocol.explore import PreviewPicture, SampleSheet, SeedThumbnail
from draggan_blender.protocol.layering import MaskedChange, composed
from draggan_blender.protocol.messages import Message
from engine.errors import RequestError
from engine.models import LoadedModel, sample_latent
from engine.output.render import preview_pixels, render_images
from engine.serving.job_parts import JobCancelledError
from engine.serving.job_queue import QueuedJob
from engine.serving.sheet_job import render_preview, render_sheet
from stylegan2 import Generator


@pytest.fixture
def model(generator: Generator) -> LoadedModel:
    return LoadedModel(generator, Path("tiny.pkl"), "0" * 64)


def _request(seeds: tuple[int, ...], size_px: int, psi: float = 0.7) -> SampleSheet:
    return SampleSheet(
        request_id=3, model_path="tiny.pkl", seeds=seeds, truncation_psi=psi, size_px=size_px
    )


@pytest.mark.parametrize(("size_px", "side"), [(8, 8), (9, 16), (10000, None)])
def test_each_seed_has_the_image_of_the_smallest_block_that_is_large_enough(
    model: LoadedModel, size_px: int, side: int | None
) -> None:
    request = _request((4, 9), size_px)
    emitted: list[Message] = []
    render_sheet(request, model, QueuedJob(request), emitted.append)
    resolution = side or model.generator.resolutions[-1]
    assert [message.seed for message in emitted if isinstance(message, SeedThumbnail)] == [4, 9]
    for message in emitted:
        assert isinstance(message, SeedThumbnail)
        assert (message.request_id, message.width) == (3, resolution)
        rows = torch.from_numpy(sample_latent(model.generator, message.seed, 0.7)[None])
        expected = preview_pixels(render_images(model.generator, rows, resolution)[0])
        found = np.frombuffer(message.pixels, np.float32).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)


def test_it_is_cancelled_between_two_seeds(model: LoadedModel) -> None:
    request = _request((1, 2, 3), 8)
    job, emitted = QueuedJob(request), list[Message]()

    def emit(message: Message) -> None:
        emitted.append(message)
        job.cancelled.set()

    with pytest.raises(JobCancelledError):
        render_sheet(request, model, job, emit)
    assert len(emitted) == 1


def test_a_truncation_out_of_range_is_refused(model: LoadedModel) -> None:
    request = _request((1,), 8, psi=9.0)
    with pytest.raises(RequestError, match="truncation"):
        render_sheet(request, model, QueuedJob(request), lambda _message: None)


def test_a_picture_with_layers_is_shown_small(model: LoadedModel) -> None:
    _, height, width = model.generator.img_shape
    base = sample_latent(model.generator, 4, 0.7)
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 255
    change = sample_latent(model.generator, 5, 0.7) - base
    edits = [MaskedChange(mask=mask, softness=0.0, change=change)]
    shown = []
    for picture in (composed(base, edits), composed(base, [])):
        request = PreviewPicture(
            request_id=7, model_path="tiny.pkl", picture=picture, size_px=width
        )
        emitted: list[Message] = []
        render_preview(request, model, emitted.append)
        (preview,) = emitted
        assert isinstance(preview, Preview)
        assert (preview.width, preview.height, preview.drag_id) == (width, height, 7)
        shown.append(np.frombuffer(preview.pixels, np.float32).reshape(height, width, 4))
    rows = torch.from_numpy(base[None])
    np.testing.assert_array_equal(shown[1], preview_pixels(render_images(model.generator, rows)[0]))
    np.testing.assert_array_equal(shown[0][:, width // 2 :], shown[1][:, width // 2 :])
    assert np.abs(shown[0] - shown[1]).max() > 0.01
