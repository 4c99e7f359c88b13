# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames on a picture, and what they show."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from draggan_blender.protocol.own_picture import Alignment as Frame
from engine.arrays import ByteArray
from engine.errors import RequestError
from engine.inversion.alignment import AlignedPicture, Alignment


def _smooth(height: int, width: int) -> ByteArray:
    y, x = np.mgrid[:height, :width]
    channels = [
        127 + 100 * np.sin(x / 9),
        127 + 100 * np.cos(y / 11),
        127 + 60 * np.sin((x + y) / 7),
    ]
    pixels: ByteArray = np.stack(channels, axis=-1).astype(np.uint8)
    return pixels


def _crop(
    pixels: ByteArray, frame: Alignment, shape: tuple[int, int]
) -> tuple[ByteArray, ByteArray]:
    picture = AlignedPicture(pixels, shape, torch.device("cpu"))
    crop, inside = picture.crop(frame.to_tensor()[None])
    bytes_ = ((crop[0].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    return bytes_, inside[0, 0].numpy().astype(np.uint8)


def test_a_frame_of_the_models_size_shows_the_pixels_themselves() -> None:
    pixels = _smooth(40, 50)
    shown, inside = _crop(pixels, Alignment(25.0, 20.0, 0.0, 32.0), (32, 32))
    np.testing.assert_array_equal(shown, pixels[4:36, 9:41])
    assert inside.all()


def test_what_is_outside_the_picture_is_marked() -> None:
    _, inside = _crop(_smooth(32, 32), Alignment(16.0, 26.0, 0.0, 32.0), (32, 32))
    assert inside[:22].all()
    assert not inside[22:].any()


@pytest.mark.parametrize("shape", [(32, 32), (32, 16)])
def test_a_turned_and_scaled_frame_shows_the_places_that_to_picture_names(
    shape: tuple[int, int],
) -> None:
    pixels = _smooth(120, 140)
    frame = Alignment(70.0, 60.0, 20.0, 40.0)
    shown, _ = _crop(pixels, frame, shape)
    for x, y in ((4.5, 9.5), (11.5, 25.5), (8.5, 16.5)):
        place = frame.to_picture(torch.tensor([x, y]), shape).tolist()
        there = pixels[int(place[1]), int(place[0])].astype(int)
        assert abs(shown[int(y), int(x)].astype(int) - there).max() <= 16


def test_a_positive_angle_turns_the_frame_counter_clockwise() -> None:
    right = Alignment(50.0, 50.0, 90.0, 32.0).to_picture(torch.tensor([32.0, 16.0]), (32, 32))
    np.testing.assert_allclose(right.numpy(), [50.0, 34.0], atol=1e-4)  # up in the picture


def test_a_large_frame_is_averaged_and_not_sampled() -> None:
    checks = np.indices((256, 256)).sum(axis=0) % 2 * 255
    pixels = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    shown, _ = _crop(pixels, Alignment(128.0, 128.0, 0.0, 256.0), (32, 32))
    assert abs(shown.astype(int) - 127).max() <= 2


def test_a_tensor_keeps_the_frame() -> None:
    frame = Alignment(3.25, 4.5, -12.0, 77.0)
    again = Alignment.of_tensor(frame.to_tensor())
    assert math.isclose(again.angle_deg, -12.0, abs_tol=1e-4)
    assert math.isclose(again.size_px, 77.0, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (Alignment(200.0, 10.0, 0.0, 32.0), "move the frame onto the picture"),
        (Alignment(10.0, 10.0, 0.0, 2.0), "scale it"),
        (Alignment(10.0, 10.0, math.nan, 32.0), "reset it"),
    ],
)
def test_a_frame_that_is_not_on_the_picture_is_refused(frame: Alignment, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        frame.check(100, 100)


def test_two_places_give_the_frame_that_brings_them_together() -> None:
    """The frame of Blender's side is that of the engine's: both have the same angle and size."""
    image_px = ((10.0, 40.0), (50.0, 20.0))
    frame = Alignment(73.0, 51.0, 25.0, 90.0)
    placed = frame.to_picture(torch.tensor(image_px, dtype=torch.float64), (48, 64))
    (x, y), (right, down) = placed.tolist()
    found = Frame.of_two_places(((x, y), (right, down)), image_px, (64, 48))
    assert found.centre_px == pytest.approx((73.0, 51.0))
    assert math.degrees(found.angle) == pytest.approx(25.0)
    assert found.size_px == pytest.approx(90.0)
