# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent of a picture, of a model with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.arrays import ByteArray, FloatArray
from engine.errors import RequestError
from engine.inversion.alignment import Alignment
from engine.inversion.solve import Inversion, InversionOptions, InversionStep, invert
from engine.inversion.verdict import Coverage, coverage_of, sentence
from engine.output.render import render_image
from engine.solving.principal import principal_components
from stylegan2 import Generator

WHOLE = Alignment.whole(32, 32)


@pytest.fixture(scope="module")
def picture(generator: Generator, latent: FloatArray) -> ByteArray:
    return render_image(generator, latent)


@pytest.fixture(scope="module")
def found(generator: Generator, picture: ByteArray) -> Inversion:
    torch.set_num_threads(1)
    return invert(generator, picture, WHOLE, InversionOptions(steps=80, align=False))


def test_an_image_of_the_model_is_found_again(found: Inversion) -> None:
    assert found.error < 0.01
    assert found.alignment == WHOLE
    assert (found.steps, found.stopped, found.is_cut) == (80, False, False)


def test_the_latent_stays_where_the_model_makes_sound_images(
    generator: Generator, found: Inversion
) -> None:
    components = principal_components(generator)
    narrow = (torch.from_numpy(found.latent) - components.mean) @ components.directions.T
    assert (narrow / components.sigmas).square().mean().sqrt() < 2.0
    layers = narrow.mean(dim=0)
    assert ((narrow - layers) / components.sigmas).square().mean().sqrt() < 1.0


def test_the_same_picture_gives_the_same_latent(generator: Generator, picture: ByteArray) -> None:
    options = InversionOptions(steps=12)
    first, again = (invert(generator, picture, WHOLE, options) for _ in range(2))
    np.testing.assert_array_equal(first.latent, again.latent)
    assert first.alignment == again.alignment


def test_a_wrong_frame_is_refined(generator: Generator, picture: ByteArray) -> None:
    wide = np.pad(picture, ((16, 16), (16, 16), (0, 0)), mode="edge")
    given = Alignment(32.0 + 1.5, 32.0 - 1.0, 6.0, 32.0)
    kept = invert(generator, wide, given, InversionOptions(steps=80, align=False))
    refined = invert(generator, wide, given, InversionOptions(steps=80))
    assert refined.error < kept.error
    assert refined.alignment != given


def test_a_stop_keeps_the_best_so_far(generator: Generator, picture: ByteArray) -> None:
    steps: list[InversionStep] = []
    stopped = invert(
        generator,
        picture,
        WHOLE,
        InversionOptions(steps=100),
        should_stop=lambda: len(steps) >= 5,
        on_step=steps.append,
    )
    assert stopped.stopped and stopped.is_cut
    assert stopped.steps == 5
    np.testing.assert_array_equal(stopped.latent, steps[-1].latent.numpy())
    assert np.isfinite(stopped.latent).all()


def test_seconds_end_the_search(generator: Generator, picture: ByteArray) -> None:
    options = InversionOptions(steps=100_000, seconds=0.5)
    assert invert(generator, picture, WHOLE, options).steps < 100_000


def test_a_loss_that_overflows_is_a_sentence(generator: Generator, picture: ByteArray) -> None:
    def loss(images: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
        return (images - wanted).abs().sum(dim=(1, 2, 3)) * 3e38 * 3e38

    with pytest.raises(RequestError, match="overflow, so picture and image cannot be compared"):
        invert(generator, picture, WHOLE, InversionOptions(steps=10), loss=loss)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(RequestError, match="at least 10 steps"):
        InversionOptions(steps=3)
    with pytest.raises(RequestError, match="0 or more"):
        InversionOptions(seconds=float("nan"))


def test_the_verdict_is_by_the_error_before_tuning() -> None:
    assert [coverage_of(error) for error in (0.01, 0.03, 0.2)] == list(Coverage)
    assert sentence(0.2, 0.01).startswith("This model does not cover the picture")
    assert sentence(0.2, is_cut=True).startswith("The search was ended early")
    assert sentence(0.01, is_cut=True) == sentence(0.01)
    assert sentence(0.2, 0.01).endswith("(error 20.0%, after tuning 1.0%)")
    # Noise maps match what a model does not cover as well.
    assert sentence(0.2, noise=0.01).startswith("This model does not cover the picture")
    assert sentence(0.2, 0.004, noise=0.01).endswith("with noise 1.0%, after tuning 0.4%)")
