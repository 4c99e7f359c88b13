# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture with small masks is computed where they are, and equals the one computed everywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from torch import Tensor

from stylegan2 import Canvas, Generator, Matte, Overlay
from stylegan2.network.box import Box, Span
from stylegan2.network.config import Architecture

from ..making import random_generator, random_ws, tiny_config

# Top, bottom, left, right of a mask of 32 px: inside, at each border, in corners, one pixel, all.
MASKS = (
    (9, 15, 11, 14),
    (0, 6, 12, 19),
    (26, 32, 5, 6),
    (13, 20, 0, 5),
    (8, 17, 25, 32),
    (0, 3, 0, 4),
    (31, 32, 31, 32),
    (7, 29, 3, 30),
    (0, 32, 0, 32),
)


def _mask(top: int, bottom: int, left: int, right: int, size: tuple[int, int] = (32, 32)) -> Tensor:
    mask = torch.zeros(size)
    mask[top:bottom, left:right] = 1
    return mask


@contextmanager
def _everywhere() -> Iterator[None]:
    """Compute every latent on whole maps."""

    def whole(matte: Matte, resolution: int) -> Box:
        height, width = matte.at(resolution).shape[2:]
        return Box.whole((height, width))

    with mock.patch.object(Matte, "box", whole):
        yield


def _generator(architecture: Architecture = "skip") -> Generator:
    config = dataclasses.replace(tiny_config(32), architecture=architecture)
    return random_generator(config).double().freeze()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
def test_an_overlay_is_the_same_as_if_it_were_computed_everywhere(
    architecture: Architecture, mask: tuple[int, int, int, int]
) -> None:
    generator = _generator(architecture)
    base, over = random_ws(generator, 2).double()

    def pictures() -> list[Tensor]:
        matte = Matte(generator.config, _mask(*mask).double())
        canvas = Canvas(generator, base, [Overlay(over, matte)], 1)
        several = torch.stack([over, base, 0.5 * over])
        return [canvas.image(several), canvas.image(several, 16), canvas.features(several, 32)]

    here = pictures()
    with _everywhere():
        there = pictures()
    for mine, whole in zip(here, there, strict=True):
        torch.testing.assert_close(mine, whole, rtol=0, atol=1e-10)


def test_parts_of_an_overlay_and_overlays_over_each_other_are_the_same(
    generator: Generator,
) -> None:
    base, first, second, third = random_ws(generator, 4).double()

    def picture() -> Tensor:
        one, two, three = (
            Matte(generator.config, _mask(*mask).double(), 2.0) for mask in MASKS[:3]
        )
        clipped = (Overlay(third, one),)
        overlays = [Overlay(first, one), Overlay(second, two), Overlay(second, three, clipped)]
        return Canvas(generator, base, overlays, 0).image(base[None] + 0.1)

    here = picture()
    with _everywhere():
        there = picture()
    torch.testing.assert_close(here, there, rtol=0, atol=1e-10)


def test_the_gradient_is_the_same(generator: Generator) -> None:
    base, over = random_ws(generator, 2).double()

    def gradient() -> Tensor:
        matte = Matte(generator.config, _mask(9, 15, 11, 14).double())
        leaf = over.clone().requires_grad_()
        canvas = Canvas(generator, base, [Overlay(over, matte)], 1)
        image = canvas.image(leaf[None])
        weights = torch.linspace(-1, 1, image.numel(), dtype=image.dtype).reshape(image.shape)
        result: Tensor = torch.autograd.grad((image * weights).sum(), leaf)[0]
        return result

    here = gradient()
    with _everywhere():
        there = gradient()
    assert there.abs().max() > 1e-3
    torch.testing.assert_close(here, there, rtol=0, atol=1e-10)


def test_a_small_mask_is_less_work(generator: Generator) -> None:
    """The last block computes a rim around the mask, and nothing else."""
    base, over = random_ws(generator, 2).double()
    matte = Matte(generator.config, _mask(9, 15, 11, 14).double())
    canvas = Canvas(generator, base, [Overlay(over, matte)], 1)
    canvas.below(32)
    sizes = []
    layer = generator.synthesis.block(32).conv1
    handle = layer.register_forward_hook(lambda _, given, result: sizes.append(result.shape[2:]))
    canvas.image(over[None])
    handle.remove()
    assert sizes == [(12, 10)]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return _generator()


def test_a_box_is_around_what_is_not_zero() -> None:
    values = torch.zeros(2, 3, 8, 9)
    values[0, 1, 2, 3] = values[1, 0, 6, 5] = -0.5
    assert Box.around(values) == Box(Span(2, 7), Span(3, 6))
    assert Box.around(torch.zeros(1, 1, 4, 4)) == Box(Span(0, 1), Span(0, 1))
    values = torch.zeros(1, 1, 128, 70)
    values[0, 0, 13, 69] = 1
    assert Box.around(values) == Box(Span(12, 16), Span(68, 70))


def test_boxes_that_do_not_meet_have_one_pixel_in_common() -> None:
    mine, other = Box(Span(2, 5), Span(0, 4)), Box(Span(4, 9), Span(6, 8))
    assert mine.overlap(other) == Box(Span(4, 5), Span(0, 1))
