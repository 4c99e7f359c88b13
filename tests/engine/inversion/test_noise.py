# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise maps of a picture: found, kept noise, and stored in a difference file."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.arrays import ByteArray, FloatArray
from engine.differences import Difference, noise_buffers, read_difference
from engine.errors import RequestError
from engine.inversion.alignment import Alignment
from engine.inversion.noise import NoiseMaps, likeness
from engine.inversion.solve import Inversion, InversionOptions, invert
from engine.inversion.tuning import TuningOptions, tune
from engine.models import ModelCache
from engine.output.render import render_image
from stylegan2 import Generator, save_generator, sha256_of

CPU = torch.device("cpu")
WHOLE = Alignment.whole(32, 32)


@pytest.fixture(scope="module")
def noisy(generator: Generator) -> Generator:
    """Return the tiny generator with noise that can be seen."""
    model = copy.deepcopy(generator)
    for key, weight in model.named_parameters():
        if key.endswith("noise_strength"):
            weight.data.fill_(0.4)
    return model.freeze()


@pytest.fixture(scope="module")
def picture(noisy: Generator, latent: FloatArray) -> ByteArray:
    """Return an image of the model with other noise maps."""
    other = copy.deepcopy(noisy)
    random = torch.Generator().manual_seed(5)
    for noise in noise_buffers(other).values():
        noise.copy_(torch.randn(noise.shape, generator=random))
    return render_image(other.freeze(), latent)


@pytest.fixture(scope="module")
def found(noisy: Generator, picture: ByteArray) -> Inversion:
    torch.set_num_threads(1)
    options = InversionOptions(steps=80, align=False, noise=True)
    return invert(noisy, picture, WHOLE, options)


def test_white_noise_costs_little_and_a_pattern_much() -> None:
    random = torch.Generator().manual_seed(1)
    white = torch.randn(64, 64, generator=random)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    # Neighbours are unlike at the finest size, and alike at the next one.
    pattern = torch.where((rows // 2 + columns // 2) % 2 == 0, 1.0, -1.0)
    # With the period of 4 px, neighbours have the mean product 0; halved and doubled, all have -4.
    assert likeness(pattern).item() == pytest.approx(2 * 4.0**2, rel=1e-5)
    # Four resolutions of n pixels, two directions, and the mean of a square of 1 / n each.
    expected = sum(2 / n**2 for n in (64, 32, 16, 8))
    assert likeness(white).item() < 4 * expected


def test_noise_brings_the_picture_nearer(found: Inversion, picture: ByteArray) -> None:
    assert found.noise is not None
    assert found.noise.error < 0.75 * found.error
    image = render_image(found.noise.generator, found.latent).astype(float)
    assert abs(image - picture).mean() / 255 == pytest.approx(found.noise.error, abs=2e-3)


def test_the_maps_stay_noise(found: Inversion, noisy: Generator) -> None:
    assert found.noise is not None
    maps, before = noise_buffers(found.noise.generator), noise_buffers(noisy)
    assert maps.keys() == before.keys()
    for key, noise in maps.items():
        # The steps of the stored values are 1/127 of the largest change.
        assert float(noise.mean()) == pytest.approx(float(before[key].mean()), abs=0.02)
        assert float(noise.var()) == pytest.approx(float(before[key].var()), rel=0.03)
        if min(noise.shape) >= 16:
            assert likeness(noise).item() < 0.05, key


def test_a_picture_that_the_model_knows_stays_found(noisy: Generator, latent: FloatArray) -> None:
    pixels = render_image(noisy, latent)
    options = InversionOptions(steps=40, align=False, noise=True)
    found = invert(noisy, pixels, WHOLE, options)
    assert found.noise is not None
    assert found.noise.error < found.error + 0.003


def test_the_model_is_not_changed(found: Inversion, noisy: Generator, generator: Generator) -> None:
    for key, noise in noise_buffers(noisy).items():
        assert torch.equal(noise, generator.get_buffer(key))


def test_noise_is_only_looked_for_if_asked(noisy: Generator, picture: ByteArray) -> None:
    assert invert(noisy, picture, WHOLE, InversionOptions(steps=10, align=False)).noise is None


def test_noise_and_tuning_travel_in_one_file(
    found: Inversion, noisy: Generator, picture: ByteArray, tmp_path: Path
) -> None:
    assert found.noise is not None
    tuned = tune(found.noise.generator, picture, WHOLE, found.latent, TuningOptions(steps=20))
    assert tuned.error < found.noise.error
    base, path = tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"
    save_generator(noisy, base)
    changes = {**found.noise.changes, **tuned.changes}
    Difference(sha256_of(base), base.name, str(base), changes).save(path)
    assert set(read_difference(path).changes) == {*found.noise.changes, *tuned.changes}
    loaded = ModelCache(CPU).get(str(path)).generator
    expected = render_image(tuned.generator, found.latent)
    np.testing.assert_array_equal(render_image(loaded, found.latent), expected)


def test_maps_without_effect_are_not_looked_for(noisy: Generator) -> None:
    model, key = copy.deepcopy(noisy), "synthesis.b16.conv1.noise_"
    model.get_parameter(key + "strength").data.zero_()
    maps = NoiseMaps(model.freeze())
    expected = set(noise_buffers(model)) - {key + "const"}
    assert set(maps.changes(maps.snapshot())) == expected
    assert len(maps.parameters()) == len(expected)


def test_a_model_without_noise_is_a_sentence(generator: Generator, picture: ByteArray) -> None:
    with pytest.raises(RequestError, match="noise maps change nothing in this model"):
        invert(generator, picture, WHOLE, InversionOptions(steps=10, noise=True))
    with pytest.raises(RequestError, match="turn the noise off"):
        NoiseMaps(generator)
