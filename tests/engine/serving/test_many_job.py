# SPDX-License-Identifier: GPL-3.0-or-later
"""*Apply to Many*, as the engine serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from draggan_blender.protocol.errors import LocalProtocolError
from draggan_blender.protocol.layering import Layer
from draggan_blender.protocol.many import AppliedToOne, ApplyToMany
from draggan_blender.protocol.messages import Message
from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.models import LoadedModel, sample_latent
from engine.output.render import render_image
from engine.pictures import Picture
from engine.serving.agreed_folders import AgreedFolders
from engine.serving.job_parts import JobCancelledError
from engine.serving.job_queue import QueuedJob
from engine.serving.many_job import apply_to_many
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from engine.solving.same_end import SameEnd
from stylegan2 import Generator
from tests.tiny_generator import tiny_generator

HANDLES = np.array([[10.0, 16.0]], dtype=np.float32)


@pytest.fixture(scope="module")
def change(generator: Generator, latent: FloatArray) -> FloatArray:
    """Return what a drag of the image of ``latent`` changes."""
    targets = HANDLES + np.array([4.0, 0.0], dtype=np.float32)
    options = DragOptions(max_steps=8, latent_space="w+")
    found: FloatArray = drag(generator, latent, HANDLES, targets, options).latents[-1] - latent
    return found


@pytest.fixture
def model(generator: Generator) -> LoadedModel:
    return LoadedModel(generator, Path("tiny.pkl"), "0" * 64)


def _request(latent: FloatArray, change: FloatArray, **others: Any) -> ApplyToMany:
    values: dict[str, Any] = {
        "request_id": 4,
        "model_path": "tiny.pkl",
        "origin": latent.astype("<f4").tobytes(),
        "change": change.astype("<f4").tobytes(),
        "strength": 1.0,
        "handles_px": ((10.0, 16.0),),
        "size_px": 16,
        **others,
    }
    return ApplyToMany(**values)


def _run(request: ApplyToMany, model: LoadedModel) -> list[AppliedToOne]:
    emitted: list[Message] = []
    apply_to_many(request, model, QueuedJob(request), emitted.append)
    return [one for one in emitted if isinstance(one, AppliedToOne)]


def test_each_seed_has_the_strength_that_is_solved_for_it(
    model: LoadedModel, latent: FloatArray, change: FloatArray, tmp_path: Path
) -> None:
    generator = model.generator
    paths = tuple(str(tmp_path / f"{n}.png") for n in range(2))
    request = _request(latent, change, seeds=(4, 9), truncation_psi=0.7, image_paths=paths)
    found = _run(request, model)
    assert [one.index for one in found] == [0, 1]
    solver = SameEnd(generator, latent, change, HANDLES)
    for one, seed, path in zip(found, (4, 9), paths, strict=True):
        start = sample_latent(generator, seed, 0.7)
        wanted = solver.apply(start)
        assert one.strength == wanted.strength
        assert one.problem == wanted.problem
        np.testing.assert_array_equal(np.frombuffer(one.latent, "<f4").reshape(start.shape), start)
        assert one.change == request.change
        shown = np.asarray(Image.open(path))
        image = render_image(generator, start + np.float32(one.strength) * change)
        np.testing.assert_array_equal(shown, image)
        assert one.height >= 16


def test_the_image_of_the_drag_has_the_strength_of_the_drag(
    model: LoadedModel, latent: FloatArray, change: FloatArray
) -> None:
    picture = latent.astype("<f4").tobytes()
    request = _request(latent, change, pictures=picture, sizes=(len(picture),))
    (found,) = _run(request, model)
    assert found.strength == pytest.approx(1.0, abs=0.1)
    assert not found.problem


@pytest.mark.parametrize("is_covered", [True, False])
def test_a_handle_in_a_masked_edit_is_named(
    model: LoadedModel, latent: FloatArray, change: FloatArray, is_covered: bool
) -> None:
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[:, : 24 if is_covered else 2] = 255
    edit = Layer(mask=mask, softness=0.0, latent=latent + np.float32(0.1))
    picture = Picture(latent, (edit,)).to_bytes()
    request = _request(latent, change, pictures=picture, sizes=(len(picture),))
    (found,) = _run(request, model)
    assert ("masked edit" in found.problem) is is_covered


def test_further_channels_are_written_and_removed_with_the_colours(tmp_path: Path) -> None:
    model = LoadedModel(tiny_generator(6), Path("six.pkl"), "0" * 64)
    start = sample_latent(model.generator, 3, 0.7)
    change = sample_latent(model.generator, 8, 0.7) - start
    paths = tuple(str(tmp_path / f"{n}.png") for n in range(2))
    request = _request(start, change, seeds=(4, 9), image_paths=paths)
    _run(request, model)
    stems = ("0", "0-channel5", "0-channel6", "1", "1-channel5", "1-channel6")
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.png" for stem in stems}
    job = QueuedJob(request)
    with pytest.raises(JobCancelledError):
        apply_to_many(request, model, job, lambda message: job.cancelled.set())
    assert {path.name[0] for path in tmp_path.iterdir()} == {"1"}


def test_an_exact_place_has_a_change_of_its_own_at_1(
    model: LoadedModel, latent: FloatArray, change: FloatArray
) -> None:
    request = _request(latent, change, seeds=(4,), truncation_psi=0.7, exact=True)
    (found,) = _run(request, model)
    assert found.strength == 1.0
    assert found.change != request.change


def test_a_cancelled_request_leaves_no_file(
    model: LoadedModel, latent: FloatArray, change: FloatArray, tmp_path: Path
) -> None:
    paths = tuple(str(tmp_path / f"{n}.png") for n in range(2))
    request = _request(latent, change, seeds=(4, 9), image_paths=paths)
    job = QueuedJob(request)
    with pytest.raises(JobCancelledError):
        apply_to_many(request, model, job, lambda message: job.cancelled.set())
    assert not list(tmp_path.iterdir())


def test_a_change_of_another_model_is_a_sentence(
    model: LoadedModel, latent: FloatArray, change: FloatArray
) -> None:
    request = _request(latent, change[:-1], seeds=(4,))
    with pytest.raises(RequestError, match="it belongs to another model"):
        _run(request, model)


def test_files_are_written_only_where_that_was_agreed(
    latent: FloatArray, change: FloatArray, tmp_path: Path
) -> None:
    folders = AgreedFolders()
    folders.agree([str(tmp_path / "a")])
    paths = str(tmp_path / "a" / "0.png"), str(tmp_path / "b" / "1.png")
    with pytest.raises(RequestError, match="not below a folder of this session"):
        folders.check(_request(latent, change, seeds=(4, 9), image_paths=paths))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": ()},
        {"handles_px": ()},
        {"handles_px": ((float("nan"), 0.0),)},
        {"image_paths": ("a.png",)},
        {"image_paths": ("a.png", "")},
        {"pictures": b"123", "sizes": (2,), "seeds": ()},
        {"size_px": 0},
    ],
)
def test_a_request_that_does_not_fit_is_refused(
    latent: FloatArray, change: FloatArray, wrong: dict[str, Any]
) -> None:
    with pytest.raises(LocalProtocolError):
        _request(latent, change, **{"seeds": (4, 9), **wrong})
