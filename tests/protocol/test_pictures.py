# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as bytes: latents alone as before, layers in a form that is checked."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import pytest

from draggan_blender.protocol.pictures import (
    MAGIC,
    Picture,
    PictureLayer,
    decode_picture,
    encode_picture,
    is_layered,
)

LATENT = struct.pack("<6f", 1, 2, 3, 4, 5, 6)
LAYER = PictureLayer(
    width=3, height=2, mask=bytes((0, 255, 255, 0, 128, 7)), softness=4.0, latent=LATENT[::-1]
)
LAYERED = Picture(latent=LATENT, layers=(LAYER, replace(LAYER, clipped=True)))


def test_a_latent_alone_is_its_own_bytes() -> None:
    assert encode_picture(Picture(latent=LATENT)) == LATENT
    assert decode_picture(LATENT) == Picture(latent=LATENT)
    assert not is_layered(LATENT)


def test_no_latent_begins_like_layers() -> None:
    assert math.isnan(struct.unpack_from("<f", MAGIC)[0])


def test_layers_survive_their_bytes() -> None:
    data = encode_picture(LAYERED)
    assert is_layered(data)
    assert decode_picture(data) == LAYERED
    assert encode_picture(decode_picture(data)) == data


@pytest.mark.parametrize("cut", [len(MAGIC), len(MAGIC) + 3, 60, -1])
def test_bytes_that_end_early_are_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="damaged"):
        decode_picture(encode_picture(LAYERED)[:cut])


def test_bytes_that_are_left_over_are_refused() -> None:
    with pytest.raises(ValueError, match="left over"):
        decode_picture(encode_picture(LAYERED) + b"x")


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b'{"latent": 24, "layers": []}',
        b'{"latent": 24, "layers": [[3, 2, 14]]}',
        b'{"latent": -24, "layers": [[3, 2, 14, 0, false]]}',
        b'{"latent": 24, "layers": [[300000, 200000, 14, 0, false]]}',
        b'{"latent": 24, "layers": [[3, 2, 14, NaN, false]]}',
        b'{"latent": 24, "layers": [[3, 2, 14, "4", false]]}',
        b"\xff",
    ],
)
def test_a_header_that_is_wrong_is_refused(header: bytes) -> None:
    data = MAGIC + struct.pack("<I", len(header)) + header + bytes(100)
    with pytest.raises(ValueError, match="damaged"):
        decode_picture(data)
