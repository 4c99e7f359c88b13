# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as arrays: with and without masked layers, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from draggan_blender.protocol.pictures import Picture, PictureLayer, decode_picture, encode_picture
from draggan_blender.timeline.mixing import Mixable

W_DIM = 4


def _latent(value: float) -> bytes:
    return np.full((2, W_DIM), value, "<f4").tobytes()


def _layer(value: float, mask: bytes = b"\xff\0\xff\0") -> PictureLayer:
    return PictureLayer(width=2, height=2, mask=mask, softness=1.0, latent=_latent(value))


def _picture(value: float, *layers: PictureLayer) -> bytes:
    return encode_picture(Picture(latent=_latent(value), layers=layers))


def _values(data: bytes) -> list[Any]:
    found = decode_picture(data)
    latents = [found.latent, *(layer.latent for layer in found.layers)]
    return [np.frombuffer(one, "<f4")[0] for one in latents]


def test_latents_alone_are_mixed_as_they_are() -> None:
    mixed = Mixable.of([_picture(1), _picture(3)], W_DIM)
    assert mixed.values.shape == (2, 2, W_DIM)
    (half,) = mixed.pictures(mixed.values.mean(axis=0, keepdims=True))
    assert half == _latent(2)


def test_a_layer_that_is_missing_begins_as_the_whole_image() -> None:
    mixed = Mixable.of([_picture(1), _picture(3, _layer(7))], W_DIM)
    (half,) = mixed.pictures(mixed.values.mean(axis=0, keepdims=True))
    assert _values(half) == [2, 4]


def test_layers_of_other_masks_stay_apart() -> None:
    pictures = [_picture(1, _layer(5)), _picture(3, _layer(7, b"\0\0\xff\xff"))]
    mixed = Mixable.of(pictures, W_DIM)
    assert len(mixed.places) == 2
    (half,) = mixed.pictures(mixed.values.mean(axis=0, keepdims=True))
    assert _values(half) == [2, 4, 4]


def test_pictures_come_back_as_they_were() -> None:
    pictures = [_picture(1, _layer(5)), _picture(2, _layer(6)), _picture(4)]
    mixed = Mixable.of(pictures, W_DIM)
    assert mixed.pictures(mixed.values) == pictures


def test_damaged_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        Mixable.of([_picture(1, _layer(5))[:-3]], W_DIM)
