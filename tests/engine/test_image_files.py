# SPDX-License-Identifier: GPL-3.0-or-later
"""Image files of people: more than 8 bits, turns, and what is no image file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.commands import _read_mask
from engine.errors import RequestError
from engine.image_files import read_image
from engine.inversion.source import read_picture

GREYS = np.array([[0, 51, 102], [153, 204, 255]], dtype=np.uint8)
DEEP = {
    "16 bits.png": (GREYS.astype(np.uint16) * 257, "I;16"),
    "16 bits.tif": (GREYS.astype(np.uint16) * 257, "I;16"),
    "big-endian.tif": ((GREYS.astype(np.uint16) * 257).astype(">u2"), "I;16B"),
    "16 of 32 bits.tif": (GREYS.astype(np.int32) * 257, "I"),
    "32 bits.tif": (np.rint(GREYS / 255 * (2**31 - 1)).astype(np.int32), "I"),
    "8 of 32 bits.tif": (GREYS.astype(np.int32), "I"),
    "to 255.tif": (GREYS.astype(np.float32), "F"),
    "float.tif": (GREYS.astype(np.float32) / 255, "F"),
}


@pytest.mark.parametrize("name", DEEP)
def test_grey_of_more_than_8_bits_is_not_clipped(name: str, tmp_path: Path) -> None:
    values, mode = DEEP[name]
    path = tmp_path / name
    Image.fromarray(values).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    np.testing.assert_array_equal(read_picture(path), np.repeat(GREYS[..., None], 3, axis=2))
    np.testing.assert_array_equal(_read_mask(path), GREYS)


def test_values_outside_of_black_and_white_are_clipped(tmp_path: Path) -> None:
    values = np.array([[-1, 0.2, 7], [np.nan, -np.inf, np.inf]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "float.tif")
    found = read_picture(tmp_path / "float.tif")[..., 0]
    np.testing.assert_array_equal(found, [[0, 51, 255], [0, 0, 255]])


@pytest.mark.parametrize("name", ["float.tif", "8 of 32 bits.tif", "16 of 32 bits.tif"])
def test_one_bright_pixel_does_not_make_a_picture_black(name: str, tmp_path: Path) -> None:
    values = np.tile(DEEP[name][0], (8, 8))
    values[3, 5] = 1_000_000
    Image.fromarray(values).save(tmp_path / name)
    expected = np.tile(GREYS, (8, 8))
    expected[3, 5] = 255
    np.testing.assert_array_equal(read_picture(tmp_path / name)[..., 0], expected)


def test_the_turn_of_a_camera_is_applied_to_all_depths(tmp_path: Path) -> None:
    for name in ("16 bits.tif", "float.tif"):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(DEEP[name][0]).save(tmp_path / name, exif=exif)
        upright = read_picture(tmp_path / name)[..., 0]
        np.testing.assert_array_equal(upright, np.rot90(GREYS, -1))


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
@pytest.mark.parametrize("read", [read_picture, _read_mask])
def test_a_pipe_is_not_waited_for(read: object, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="a pipe"):
        read(tmp_path / "a.png")  # type: ignore[operator]


def test_every_damage_is_the_same_sentence(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    path, wholes = tmp_path / "a.png", []
    for name in ("a.png", "a.tif", "a.gif", "a.webp", "a.jpg", "a.tga", "a.bmp"):
        Image.fromarray(chance.integers(0, 255, (9, 8, 3), np.uint8)).save(tmp_path / name)
        wholes.append((tmp_path / name).read_bytes())
    refused = 0
    for whole in wholes * 40:
        data = bytearray(whole)[: chance.integers(1, len(whole) + 1)]
        for _ in range(3):
            data[chance.integers(0, min(len(data), 100))] = chance.integers(0, 256)
        path.write_bytes(data)
        try:
            assert read_image(path).mode == "RGBA"
        except RequestError as error:
            refused += 1
            # A damaged size can also be one of too many pixels.
            ends = ("expected a PNG, JPEG, WebP or TIFF", "or only the part that is needed")
            assert str(error).endswith(ends)
    assert refused > len(wholes)


def test_a_picture_of_too_many_pixels_is_refused_as_that_and_a_large_one_is_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "panorama.png"
    Image.new("1", (18000, 10000)).save(path)
    with pytest.raises(RequestError, match=r"has more than 178 million pixels, .* smaller"):
        read_image(path)
    Image.new("1", (9000, 10000), 1).save(path)
    assert read_image(path).size == (9000, 10000)
