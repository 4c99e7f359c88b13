# SPDX-License-Identifier: GPL-3.0-or-later
"""Several latents in one picture: exact where a matte is 0 or 1, and differentiable."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylegan2 import Canvas, Generator, Matte, Overlay

from ..making import random_generator, random_ws, tiny_config

CONFIG = tiny_config(32)
SIZE = 32


@pytest.fixture(scope="module")
def generator() -> Generator:
    return random_generator(CONFIG).freeze()


def _mask(left: int, right: int, top: int = 4, bottom: int = 20) -> Tensor:
    mask = torch.zeros(SIZE, SIZE)
    mask[top:bottom, left:right] = 1
    return mask


def _canvas(generator: Generator, mask: Tensor, softness: float = 3.0) -> Canvas:
    base, over = random_ws(generator, 2)
    return Canvas(generator, base, [Overlay(over, Matte(CONFIG, mask, softness))], 1)


@pytest.mark.parametrize("resolution", [8, None])
def test_under_a_white_mask_only_the_overlay_is_seen(
    generator: Generator, resolution: int | None
) -> None:
    canvas = _canvas(generator, torch.ones(SIZE, SIZE))
    plain = generator.synthesis(canvas.start[None], resolution=resolution)
    assert torch.equal(canvas.image(canvas.start[None], resolution), plain)


@pytest.mark.parametrize("resolution", [8, None])
def test_under_a_black_mask_only_the_base_is_seen(
    generator: Generator, resolution: int | None
) -> None:
    canvas = _canvas(generator, torch.zeros(SIZE, SIZE))
    plain = generator.synthesis(random_ws(generator, 2)[:1], resolution=resolution)
    assert torch.equal(canvas.image(canvas.start[None], resolution), plain)


def test_where_the_mask_is_black_the_picture_equals_the_base_to_the_bit(
    generator: Generator,
) -> None:
    mask = _mask(6, 18)
    canvas = _canvas(generator, mask)
    base = generator.synthesis(random_ws(generator, 2)[:1])
    image = canvas.image(canvas.start[None])
    held = (mask == 0).expand_as(image[0])
    assert torch.equal(image[0][held], base[0][held])
    assert (image - base).abs().mean() > 0.01


def test_a_matte_rises_from_the_border_of_black_to_the_value_of_the_mask() -> None:
    mask = 0.5 * _mask(8, 32, 0, 32)
    matte = Matte(CONFIG, mask, 3.0).full[0, 0]
    row = matte[16]
    assert not row[:8].any()
    assert row[8] > 0
    assert (row[8:12].diff() > 0).all()
    assert (row[11:] == 0.5).all()
    assert torch.equal(Matte(CONFIG, mask, 0.0).full[0, 0], mask)


def test_a_soft_border_is_round() -> None:
    """The distance from black is the same in all directions."""
    mask = torch.ones(SIZE, SIZE)
    mask[16, 16] = 0
    matte = Matte(CONFIG, mask, 7.0).full[0, 0]
    assert torch.allclose(matte[16 + 3, 16 + 4], matte[16, 16 + 5])
    assert torch.equal(matte, matte.T)


def test_the_derivative_through_the_blend_is_that_of_finite_differences() -> None:
    generator = random_generator(CONFIG).double().freeze()
    base, over = random_ws(generator, 2).double()
    matte = Matte(CONFIG, _mask(3, 25).double(), 4.0)
    canvas = Canvas(generator, base, [Overlay(over, matte)], 1)
    direction = torch.randn_like(over)
    weights = torch.randn_like(canvas.image(over[None]))

    def value(ws: Tensor) -> Tensor:
        return (canvas.image(ws[None]) * weights).sum()

    leaf = over.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(leaf), leaf)
    step = 1e-7
    with torch.no_grad():
        found = (value(over + step * direction) - value(over - step * direction)) / (2 * step)
    expected = (gradient * direction).sum()
    assert abs(found - expected) < 1e-5 * abs(expected)


def test_an_overlay_covers_the_overlays_below_it(generator: Generator) -> None:
    base, first, second = random_ws(generator, 3)
    left, right = Matte(CONFIG, _mask(2, 14)), Matte(CONFIG, _mask(10, 30))
    lower = Canvas(generator, base, [Overlay(first, left)], 1)
    both = Canvas(generator, base, [Overlay(first, left), Overlay(second, right)], 2)
    below, image = lower.image(first[None])[0], both.image(second[None])[0]
    outside = (_mask(10, 30) == 0).expand_as(image)
    assert torch.equal(image[outside], below[outside])
    assert torch.equal(both.below(16), lower.features(first[None], 16))
    assert (image - below)[:, 4:20, 10:14].abs().mean() > 0.01


def test_open_latents_change_together(generator: Generator) -> None:
    base, over = random_ws(generator, 2)
    matte = Matte(CONFIG, _mask(6, 18))
    change = 0.3 * torch.randn_like(base)
    opened = Canvas(generator, base, [Overlay(over, matte)], 0)
    moved = Canvas(generator, base + change, [Overlay(over + change, matte)], 1)
    found, expected = opened.image((base + change)[None]), moved.image((over + change)[None])
    assert torch.allclose(found, expected, atol=1e-4)
    assert not opened.has_below
    assert not opened.is_single


def test_a_clipped_latent_is_seen_inside_its_overlay_only(generator: Generator) -> None:
    base, over, inner = random_ws(generator, 3)
    outer = Matte(CONFIG, _mask(2, 20))

    def image(inside: Tensor) -> Tensor:
        clipped = (Overlay(inner, Matte(CONFIG, inside)),)
        return Canvas(generator, base, [Overlay(over, outer, clipped)], 1).image(over[None])[0]

    whole = Canvas(generator, base, [Overlay(inner, outer)], 1).image(inner[None])[0]
    none = Canvas(generator, base, [Overlay(over, outer)], 1).image(over[None])[0]
    assert torch.equal(image(torch.ones(SIZE, SIZE)), whole)
    assert torch.equal(image(torch.zeros(SIZE, SIZE)), none)
    half = image(_mask(12, 32))
    outside = (_mask(2, 20) == 0).expand_as(half)
    assert torch.equal(half[outside], none[outside])
    assert (half - none)[:, 8:16, 14:18].abs().mean() > 0.01


def test_latents_of_a_batch_give_the_pictures_of_each(generator: Generator) -> None:
    canvas = _canvas(generator, _mask(6, 18))
    latents = random_ws(generator, 2, seed=5)
    both = canvas.image(latents)
    for latent, image in zip(latents, both, strict=True):
        assert torch.allclose(canvas.image(latent[None])[0], image, atol=1e-4)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="free has shape 8 x 8, expected 32 x 32"):
        Matte(CONFIG, torch.ones(8, 8))
