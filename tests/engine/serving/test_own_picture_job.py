# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's own picture: its latent, a tuned model that other requests use, and blending back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from draggan_blender.protocol import encode
from draggan_blender.protocol.drag_messages import Drag, Preview
from draggan_blender.protocol.messages import FrameTarget, Message, Progress, RenderLatent
from draggan_blender.protocol.own_picture import (
    Alignment,
    BlendBack,
    InvertPicture,
    PictureInverted,
)
from draggan_blender.protocol.pairs import Pair
from draggan_blender.protocol.settings import DragSettings
from draggan_blender.protocol.timeline import Bake
from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.models import LoadedModel, ModelCache
from engine.output.render import render_image
from engine.output.track import Track
from engine.pictures import Picture
from engine.serving.job_parts import JobCancelledError
from engine.serving.job_queue import QueuedJob
from engine.serving.jobs import JobRunner
from stylegan2 import Generator, save_generator
from tests.vgg_files import write_vgg

from ..edits import FIRST, moves, small_edit

CPU = torch.device("cpu")
WHOLE = Alignment(centre_px=(32.0, 32.0), angle=0.0, size_px=32.0)


@pytest.fixture
def picture(tmp_path: Path, generator: Generator, latent: FloatArray) -> Path:
    """Write the image of a latent in the middle of a larger picture."""
    pixels = np.pad(render_image(generator, latent), ((16, 16), (16, 16), (0, 0)), mode="edge")
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


def _request(checkpoint: Path, picture: Path, **more: Any) -> InvertPicture:
    values: dict[str, Any] = {"alignment": WHOLE, "steps": 10, "refine": False, **more}
    return InvertPicture(
        request_id=5,
        model_path=str(checkpoint),
        picture_path=str(picture),
        image_path=str(picture.with_name("image.png")),
        **values,
    )


def _run(request: Any, **signals: bool) -> list[Message]:
    emitted: list[Message] = []
    job = QueuedJob(request)
    for name in signals:
        getattr(job, name).set()
    JobRunner(CPU, emitted.append).run(job)
    return emitted


def _inverted(messages: list[Message]) -> PictureInverted:
    (found,) = (one for one in messages if isinstance(one, PictureInverted))
    return found


def test_a_picture_becomes_an_image(checkpoint: Path, picture: Path, generator: Generator) -> None:
    messages = _run(_request(checkpoint, picture))
    found = _inverted(messages)
    fractions = [one.fraction for one in messages if isinstance(one, Progress)]
    assert fractions == sorted(fractions)
    assert any(isinstance(one, Preview) for one in messages)
    assert (found.alignment, found.tuned_error) == (WHOLE, -1.0)
    assert found.coverage in ("covered", "roughly", "not")
    assert found.model_path == str(checkpoint)
    shape = generator.num_ws, generator.w_dim
    latent = np.frombuffer(found.latent, "<f4").reshape(shape)
    with Image.open(picture.with_name("image.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), render_image(generator, latent))


def test_a_tuned_model_is_used_like_every_other(checkpoint: Path, picture: Path) -> None:
    tune_path = picture.with_name("tuned.safetensors")
    request = _request(
        checkpoint, picture, tune=True, difference_path=str(tune_path), tune_seconds=1.0
    )
    found = _inverted(_run(request))
    assert found.model_path == str(tune_path)
    assert 0.0 <= found.tuned_error <= found.error
    again = picture.with_name("again.png")
    _run(
        RenderLatent(
            request_id=6,
            model_path=found.model_path,
            model_sha256=found.model_sha256,
            latent=found.latent,
            image_path=str(again),
        )
    )
    assert again.read_bytes() == picture.with_name("image.png").read_bytes()
    again_path = str(picture.with_name("twice.safetensors"))
    twice = _request(tune_path, picture, tune=True, difference_path=again_path)
    with pytest.raises(RequestError, match="tuned to a picture already"):
        _run(twice)


def test_a_stop_keeps_what_was_found_and_leaves_out_tuning(checkpoint: Path, picture: Path) -> None:
    tune_path = picture.with_name("tuned.safetensors")
    request = _request(checkpoint, picture, tune=True, difference_path=str(tune_path))
    found = _inverted(_run(request, stopped=True))
    assert found.tuned_error == -1.0
    assert picture.with_name("image.png").exists()
    assert not tune_path.exists()


def test_a_cancelled_inversion_leaves_no_file(checkpoint: Path, picture: Path) -> None:
    with pytest.raises(JobCancelledError):
        _run(_request(checkpoint, picture), cancelled=True)
    assert not picture.with_name("image.png").exists()


def test_a_file_that_is_no_picture_is_a_sentence(checkpoint: Path, picture: Path) -> None:
    picture.write_text("no picture")
    with pytest.raises(RequestError, match="is not an image file"):
        _run(_request(checkpoint, picture))


@pytest.fixture
def model(checkpoint: Path) -> LoadedModel:
    return ModelCache(CPU).get(str(checkpoint))


def test_an_edit_is_blended_onto_the_picture(
    model: LoadedModel, checkpoint: Path, picture: Path, latent: FloatArray, tmp_path: Path
) -> None:
    track = Track.from_pictures(
        [Picture(latent), Picture(latent + np.float32(0.3))],
        model_name=model.path.name,
        model_sha256=model.sha256,
        first_number=1,
    )
    common: dict[str, Any] = {
        "model_path": str(checkpoint),
        "picture_path": str(picture),
        "alignment": WHOLE,
        "base": latent.astype("<f4").tobytes(),
        "frames": FrameTarget(folder=str(tmp_path / "out"), stem="b", first_number=1),
    }
    still = tmp_path / "still.png"
    edited = (latent + np.float32(0.3)).astype("<f4").tobytes()
    _run(BlendBack(request_id=7, latent=edited, image_path=str(still), **common, matte=True))
    _run(BlendBack(request_id=8, track=track.to_bytes(), **common, matte=True))
    own = np.asarray(Image.open(picture))
    first, last = (np.asarray(Image.open(tmp_path / "out" / f"b_000{n}.png")) for n in (1, 2))
    np.testing.assert_array_equal(first, own)
    np.testing.assert_array_equal(last, np.asarray(Image.open(still)))
    assert (last != own).any()
    np.testing.assert_array_equal(last[:14], own[:14])  # outside the frame
    with Image.open(tmp_path / "still-matte.png") as image:
        assert image.mode == "L"
        matte = np.asarray(image)
    mattes = [np.asarray(Image.open(tmp_path / "out" / f"b-matte_000{n}.png")) for n in (0, 1, 2)]
    assert not mattes[0].any() and not mattes[1].any()
    np.testing.assert_array_equal(mattes[2], matte)
    np.testing.assert_array_equal(last[matte == 0], own[matte == 0])
    assert not (last != own).any(axis=2)[matte == 0].any() and matte.any()


def test_noise_maps_belong_to_the_image_in_every_request(
    generator: Generator, picture: Path, tmp_path: Path
) -> None:
    noisy = copy.deepcopy(generator)
    for key, weight in noisy.named_parameters():
        if key.endswith("noise_strength"):
            weight.data.fill_(0.3)
    base = tmp_path / "noisy.safetensors"
    save_generator(noisy.freeze(), base)
    path = picture.with_name("tuned.safetensors")
    asked = _request(base, picture, noise=True, steps=20, difference_path=str(path))
    found = _inverted(_run(asked))
    assert (found.model_path, found.tuned_error) == (str(path), -1.0)
    assert ", with noise " in found.sentence
    shown = picture.with_name("image.png").read_bytes()
    latent = np.frombuffer(found.latent, "<f4").reshape(generator.num_ws, generator.w_dim)
    with Image.open(picture.with_name("image.png")) as image:
        far = np.asarray(image).astype(int) - render_image(noisy, latent)
    assert abs(far).mean() > 1.0

    model: dict[str, Any] = {"model_path": found.model_path, "model_sha256": found.model_sha256}
    again, folder = tmp_path / "again.png", tmp_path / "drag"
    folder.mkdir()
    _run(RenderLatent(request_id=6, latent=found.latent, image_path=str(again), **model))
    assert again.read_bytes() == shown
    # A drag without a step shows the image that it starts from.
    drag = Drag(
        request_id=7,
        drag_id=7,
        latent=found.latent,
        pairs=(Pair(handle_px=(16.0, 16.0), target_px=(16.5, 16.0)),),
        settings=DragSettings(tolerance_px=4.0, max_steps=1),
        frames=FrameTarget(folder=str(folder), stem="drag", first_number=1),
        **model,
    )
    _run(drag)
    assert (folder / "drag_0001.png").read_bytes() == shown
    bake = Bake(
        request_id=8,
        edit=encode(small_edit(latent, targets_px=moves(0.5))),
        frames=FrameTarget(folder=str(tmp_path / "bake"), stem="bake", first_number=FIRST),
        **model,
    )
    _run(bake)
    track = Track.from_bytes((tmp_path / "bake" / "track.npz").read_bytes())
    changed = ModelCache(CPU).get(found.model_path).generator
    with Image.open(tmp_path / "bake" / f"bake_{FIRST:04d}.png") as image:
        frame = np.asarray(image)
    np.testing.assert_array_equal(frame, render_image(changed, track.picture(0)))
    assert abs(frame.astype(int) - render_image(noisy, track.picture(0))).mean() > 1.0


def test_noise_is_refused_before_the_search_where_it_changes_nothing(
    checkpoint: Path, picture: Path
) -> None:
    path = str(picture.with_name("tuned.safetensors"))
    with pytest.raises(RequestError, match="noise maps change nothing in this model"):
        _run(_request(checkpoint, picture, noise=True, difference_path=path))


def test_the_loss_of_the_request_is_used(checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    weights = write_vgg(tmp_path / "vgg.pth")
    pixels = _inverted(_run(_request(checkpoint, picture, steps=20)))
    vgg = _inverted(
        _run(_request(checkpoint, picture, steps=20, loss="vgg", loss_path=str(weights)))
    )
    assert vgg.latent != pixels.latent
    with pytest.raises(RequestError, match="needs a file with the weights of VGG16"):
        _run(_request(checkpoint, picture, loss="vgg"))


def test_a_cancelled_blending_leaves_no_file(
    model: LoadedModel, checkpoint: Path, picture: Path, latent: FloatArray, tmp_path: Path
) -> None:
    track = Track.from_pictures(
        [Picture(latent), Picture(latent + np.float32(0.3))],
        model_name=model.path.name,
        model_sha256=model.sha256,
        first_number=1,
    )
    folder = tmp_path / "out"
    request = BlendBack(
        request_id=8,
        model_path=str(checkpoint),
        picture_path=str(picture),
        alignment=WHOLE,
        base=latent.astype("<f4").tobytes(),
        frames=FrameTarget(folder=str(folder), stem="b", first_number=1),
        track=track.to_bytes(),
        matte=True,
    )
    with pytest.raises(JobCancelledError):
        _run(request, cancelled=True)
    assert not folder.exists() or not list(folder.iterdir())
