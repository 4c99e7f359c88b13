# SPDX-License-Identifier: GPL-3.0-or-later
"""Tuning a model to a picture, and the difference file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine import differences
from engine.arrays import ByteArray, FloatArray
from engine.differences import (
    Difference,
    find_base,
    is_difference,
    open_difference,
    quantised,
    read_difference,
)
from engine.errors import RequestError
from engine.inversion.alignment import Alignment
from engine.inversion.tuning import Tuning, TuningOptions, tune
from engine.library_names import library_path
from engine.models import ModelCache, sample_latent
from engine.output.render import render_image
from stylegan2 import (
    Generator,
    convert_checkpoint,
    load_generator,
    save_generator,
    sha256_of,
)
from stylegan2.models import builtin_model_path
from tests.stylegan2.golden import golden_path

CPU = torch.device("cpu")
WHOLE = Alignment.whole(32, 32)


@pytest.fixture(scope="module")
def picture() -> ByteArray:
    """Return a picture that no latent of the model has: stripes."""
    stripes = np.indices((32, 32))[1] // 4 % 2 * 120 + 60
    return np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def tuned(generator: Generator, latent: FloatArray, picture: ByteArray) -> Tuning:
    torch.set_num_threads(1)
    return tune(generator, picture, WHOLE, latent, TuningOptions(steps=60))


@pytest.fixture(scope="module")
def saved(tuned: Tuning, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuned") / "tuned.safetensors"
    changes = tuned.changes
    Difference(sha256_of(checkpoint), checkpoint.name, str(checkpoint), changes).save(path)
    return path


def _error(generator: Generator, latent: FloatArray, picture: ByteArray) -> float:
    image = render_image(generator, latent).astype(float)
    return float(abs(image - picture).mean()) / 255


def test_tuning_brings_the_image_nearer_and_leaves_the_model(
    generator: Generator, latent: FloatArray, picture: ByteArray, tuned: Tuning
) -> None:
    before = _error(generator, latent, picture)
    assert _error(tuned.generator, latent, picture) < 0.96 * before
    assert tuned.error == pytest.approx(_error(tuned.generator, latent, picture), abs=2e-3)
    assert tuned.steps == 60


def test_tuning_lowers_the_loss_that_was_chosen(
    generator: Generator, latent: FloatArray, picture: ByteArray
) -> None:
    sizes: list[torch.Size] = []

    def loss(images: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
        sizes.append(images.shape)
        return images.mean(dim=(1, 2, 3))  # as dark as can be

    found = tune(generator, picture, WHOLE, latent, TuningOptions(steps=10), loss=loss)
    assert sizes == [torch.Size((1, 3, 32, 32))] * 10
    before = render_image(generator, latent).astype(float).mean()
    assert render_image(found.generator, latent).astype(float).mean() < before - 1


def test_a_loss_that_overflows_is_a_sentence(
    generator: Generator, latent: FloatArray, picture: ByteArray
) -> None:
    def loss(images: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
        return (images - wanted).abs().sum(dim=(1, 2, 3)) * 3e38 * 3e38

    with pytest.raises(RequestError, match="overflow, so picture and image cannot be compared"):
        tune(generator, picture, WHOLE, latent, TuningOptions(steps=2), loss=loss)


def test_images_away_from_the_latent_change_less(
    generator: Generator, latent: FloatArray, tuned: Tuning
) -> None:
    def change(other: FloatArray) -> float:
        now = render_image(tuned.generator, other).astype(float)
        return float(abs(now - render_image(generator, other)).mean())

    others = [change(sample_latent(generator, seed, 0.7)) for seed in range(20, 30)]
    assert np.mean(others) < change(latent)


def test_a_saved_difference_gives_the_same_pixels(
    latent: FloatArray, tuned: Tuning, saved: Path
) -> None:
    model = ModelCache(CPU).get(str(saved))
    assert model.sha256 == sha256_of(saved)
    image = render_image(model.generator, latent)
    np.testing.assert_array_equal(image, render_image(tuned.generator, latent))


def test_the_base_may_lie_beside_the_difference(
    saved: Path, checkpoint: Path, tmp_path: Path, latent: FloatArray, tuned: Tuning
) -> None:
    moved = tmp_path / "moved.safetensors"
    found = read_difference(saved)
    Difference(found.base_sha256, "tiny.safetensors", "/gone", found.changes).save(moved)
    with pytest.raises(RequestError, match="put it there"):
        open_difference(moved, CPU)
    (tmp_path / "tiny.safetensors").write_bytes(checkpoint.read_bytes())
    image = render_image(open_difference(moved, CPU), latent)
    np.testing.assert_array_equal(image, render_image(tuned.generator, latent))


def test_only_a_difference_is_one(saved: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert is_difference(saved)
    other = tmp_path / "other.pkl"
    other.write_bytes(b"\x80\x04nonsense")
    assert not any(map(is_difference, (checkpoint, other, tmp_path, tmp_path / "none")))


@pytest.mark.parametrize("damage", ["hash", "scale", "name"])
def test_a_damaged_difference_is_refused(
    damage: str, saved: Path, checkpoint: Path, tmp_path: Path
) -> None:
    found = read_difference(saved)
    key, (steps, scale) = next(iter(found.changes.items()))
    sha256 = "0" if damage == "hash" else found.base_sha256
    scale = scale * torch.nan if damage == "scale" else scale
    key = "synthesis.b4.none" if damage == "name" else key
    path = tmp_path / "damaged.safetensors"
    Difference(sha256, checkpoint.name, str(checkpoint), {key: (steps, scale)}).save(path)
    with pytest.raises(RequestError, match="tune the picture again"):
        open_difference(path, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "U9"}, "has x as U9, but F32, I8 are expected"),
        ({"dtype": "F16"}, "has x as F16, but F32, I8 are expected"),
        ({"dtype": ["I8"]}, "has x as something else"),
        ({"shape": [2]}, "x has another size than its shape"),
        ({"shape": None}, "x has an impossible shape"),
        ({"data_offsets": [4, 5]}, "its tensors do not"),
    ],
)
def test_tensors_of_other_kinds_are_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    metadata = {"architecture": "stylegan2-difference", "base_sha256": "0" * 64}
    tensor = {"dtype": "I8", "shape": [1], "data_offsets": [0, 1], **change}
    header = json.dumps({"__metadata__": metadata, "x": tensor}).encode()
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\1")
    assert is_difference(path)
    with pytest.raises(RequestError, match=f"{message}.*; tune the picture again"):
        read_difference(path)


def test_a_change_without_a_dimension_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tuned.safetensors"
    Difference(
        "0" * 64, "a", "a", {"x": (torch.tensor(1, dtype=torch.int8), torch.tensor(1.0))}
    ).save(path)
    with pytest.raises(RequestError, match="the change of x is not as expected"):
        read_difference(path)


def test_no_place_is_hashed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base.safetensors"
    base.write_bytes(golden_path("ada_r64").read_bytes())
    hashed: list[Path] = []

    def other(path: Path) -> str:
        hashed.append(path)
        return "1" * 64

    monkeypatch.setattr(differences, "sha256_of", other)
    monkeypatch.setattr(differences, "original_sha256", lambda path: "")
    with pytest.raises(RequestError, match="put it there"):
        find_base(Difference("0" * 64, base.name, str(base), {}), tmp_path / "tuned.safetensors")
    assert base in hashed
    assert len(set(hashed)) == len(hashed)


def test_a_header_of_no_object_is_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    for text in (b"null", b"[]", b'{"__metadata__":null}', b"{", b"[" * 9999):
        path.write_bytes(struct.pack("<Q", len(text)) + text)
        assert not is_difference(path)
        with pytest.raises(RequestError, match="tune the picture again"):
            read_difference(path)


def test_a_base_that_was_converted_serves_as_well(tmp_path: Path) -> None:
    source = tmp_path / "model.pkl"
    source.write_bytes(golden_path("ada_r64").read_bytes())
    before = load_generator(source)
    key, weight = next(
        (key, weight) for key, weight in before.named_parameters() if weight.ndim == 4
    )
    changes = {key: quantised(torch.ones_like(weight))}
    path = tmp_path / "tuned.safetensors"
    Difference(sha256_of(source), source.name, str(source), changes).save(path)
    wanted = open_difference(path, CPU).get_parameter(key)

    convert_checkpoint(source, tmp_path / "model.safetensors")
    source.unlink()
    assert torch.equal(open_difference(path, CPU).get_parameter(key), wanted)

    # In a library, its name has the beginning of the hash.
    in_library = library_path(tmp_path, source, read_difference(path).base_sha256)
    (tmp_path / "model.safetensors").rename(in_library)
    assert find_base(read_difference(path), path) == in_library

    # The converted file of another model does not serve.
    in_library.unlink()
    save_generator(before, tmp_path / "model.safetensors")
    with pytest.raises(RequestError, match="put it there"):
        open_difference(path, CPU)


def test_other_tensors_are_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    assert not is_difference(path)


def test_the_builtin_models_difference_is_a_tenth_of_it() -> None:
    path = builtin_model_path("suzanne")
    assert path is not None
    generator = load_generator(path)
    latent = sample_latent(generator, 1, 0.7)
    picture = np.full((128, 128, 3), 90, dtype=np.uint8)
    found = tune(generator, picture, Alignment.whole(128, 128), latent, TuningOptions(steps=1))
    data = Difference(sha256_of(path), path.name, str(path), found.changes).to_bytes()
    assert len(data) <= path.stat().st_size / 10


def test_a_stop_ends_it(generator: Generator, latent: FloatArray, picture: ByteArray) -> None:
    found = tune(generator, picture, WHOLE, latent, should_stop=lambda: True)
    assert found.steps == 0
    assert found.error == pytest.approx(_error(generator, latent, picture), abs=2e-3)
