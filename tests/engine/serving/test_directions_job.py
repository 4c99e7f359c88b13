# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions, strips and locked drags, as the engine serves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from draggan_blender.protocol.direction_files import read
from draggan_blender.protocol.direction_messages import (
    DirectionsFound,
    FindDirections,
    PictureStrip,
    PullBack,
    PulledBack,
    StripPicture,
)
from draggan_blender.protocol.directions import moved, on_layers
from draggan_blender.protocol.drag_messages import Drag, DragFinished
from draggan_blender.protocol.messages import FrameTarget, Message
from draggan_blender.protocol.pairs import Pair
from draggan_blender.protocol.settings import DragSettings
from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.models import LoadedModel
from engine.output.render import preview_pixels, render_images
from engine.serving.directions_job import pull_back, render_strip
from engine.serving.edit_file import animated_edit
from engine.serving.job_parts import JobCancelledError
from engine.serving.job_queue import QueuedJob
from engine.serving.jobs import JobRunner
from engine.solving.directions import find_directions
from stylegan2 import Generator

from ..edits import small_edit


@pytest.fixture
def model(generator: Generator) -> LoadedModel:
    return LoadedModel(generator, Path("tiny.pkl"), "0" * 64)


def test_the_directions_of_a_model_arrive_as_a_file(checkpoint: Path, tmp_path: Path) -> None:
    emitted: list[Message] = []
    request = FindDirections(request_id=1, model_path=str(checkpoint))
    runner = JobRunner(torch.device("cpu"), emitted.append)
    runner.run(QueuedJob(request))
    (answer,) = (one for one in emitted if isinstance(one, DirectionsFound))
    path = tmp_path / "a.npz"
    path.write_bytes(answer.directions)
    model = runner._models.current
    assert model is not None
    wanted = find_directions(model.generator)
    found = read(path, model.generator.num_ws, model.generator.w_dim)
    assert [one.name for one in found] == [one.name for one in wanted]
    np.testing.assert_array_equal(found[0].change, wanted[0].change)


def _strip(latent: FloatArray, count: int) -> PictureStrip:
    change = np.full_like(latent, 0.2)
    pictures = [moved(latent.astype("<f4").tobytes(), n * change) for n in range(count)]
    return PictureStrip(
        request_id=5,
        model_path="tiny.pkl",
        pictures=b"".join(pictures),
        sizes=tuple(map(len, pictures)),
        size_px=32,
    )


def test_a_strip_shows_its_pictures_in_order(model: LoadedModel, latent: FloatArray) -> None:
    request, emitted = _strip(latent, 3), list[Message]()
    render_strip(request, model, QueuedJob(request), emitted.append)
    assert [one.index for one in emitted if isinstance(one, StripPicture)] == [0, 1, 2]
    for number, message in enumerate(emitted):
        assert isinstance(message, StripPicture)
        rows = torch.from_numpy(latent + np.float32(number) * np.float32(0.2))[None]
        expected = preview_pixels(render_images(model.generator, rows)[0])
        found = np.frombuffer(message.pixels, np.float32).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_strip_is_cancelled_between_two_pictures(model: LoadedModel, latent: FloatArray) -> None:
    request = _strip(latent, 3)
    job, emitted = QueuedJob(request), list[Message]()

    def emit(message: Message) -> None:
        emitted.append(message)
        job.cancelled.set()

    with pytest.raises(JobCancelledError):
        render_strip(request, model, job, emit)
    assert len(emitted) == 1


def test_a_drag_request_is_kept_out_of_directions(
    checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    emitted: list[Message] = []
    runner = JobRunner(torch.device("cpu"), emitted.append)
    runner.run(QueuedJob(FindDirections(request_id=1, model_path=str(checkpoint))))
    generator = runner._models.current.generator  # type: ignore[union-attr]
    directions = find_directions(generator)[:3]
    locked = [on_layers(one.change, generator.num_ws, 0, 99) for one in directions]
    request = Drag(
        request_id=2,
        drag_id=2,
        model_path=str(checkpoint),
        latent=latent.astype("<f4").tobytes(),
        pairs=(Pair(key=1, handle_px=(10.0, 16.0), target_px=(15.0, 15.0)),),
        settings=DragSettings(max_steps=3),
        frames=FrameTarget(folder=str(tmp_path / "a"), stem="a", first_number=1),
        previews=False,
        locked=b"".join(one.astype("<f4").tobytes() for one in locked),
    )
    runner.run(QueuedJob(request))
    (finished,) = (one for one in emitted if isinstance(one, DragFinished))
    change = np.frombuffer(finished.latent, "<f4").reshape(latent.shape) - latent
    assert np.abs(change).max() > 0.01
    for one in directions:
        length = float((one.change**2).sum())
        along = change @ one.change[0] / length
        assert np.abs(along).max() < 1e-3


def test_a_latent_is_pulled_back(model: LoadedModel, latent: FloatArray) -> None:
    emitted: list[Message] = []
    picture = (latent + np.float32(3)).astype("<f4").tobytes()
    request = PullBack(request_id=4, model_path="tiny.pkl", picture=picture)
    pull_back(request, model, emitted.append)
    (answer,) = emitted
    assert isinstance(answer, PulledBack)
    assert len(answer.latent) == len(picture)
    assert answer.after <= 1.01 < answer.before


def test_an_edit_with_sliders_moves_each_frame(model: LoadedModel, latent: FloatArray) -> None:
    one, two = np.zeros_like(latent), np.zeros_like(latent)
    one[0], two[3:] = 1.0, -1.0
    strengths = [(0.1 * row, 0.2 * row) for row in range(8)]
    edit = small_edit(
        latent,
        sliders=np.stack([one, two]).astype("<f4").tobytes(),
        slider_changes=tuple(value for row in strengths for value in row),
    )
    found = animated_edit(edit, model)
    for row, (first, second) in enumerate(strengths):
        base = found.inputs(row).base
        np.testing.assert_allclose(base, latent + first * one + second * two, atol=1e-5)
    assert len(set(found.keys("model"))) == 8
    assert found.locked is None
    held = animated_edit(replace(edit, locked=edit.sliders, held_to=edit.sliders), model).locked
    assert held is not None
    for changes in (held.kept, held.along):
        np.testing.assert_array_equal(changes, np.stack([one, two]))
    with pytest.raises(RequestError):
        animated_edit(replace(edit, locked=edit.sliders[:-4]), model)

    wrong = small_edit(latent, sliders=edit.sliders, slider_changes=(0.5,) * 8)
    with pytest.raises(RequestError, match="1 strengths for 2 sliders"):
        animated_edit(wrong, model)
