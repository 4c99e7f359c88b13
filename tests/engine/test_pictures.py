# SPDX-License-Identifier: GPL-3.0-or-later
"""Which latents of a picture a drag opens, and what the picture is afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from draggan_blender.protocol.layering import Layer
from engine.arrays import ByteArray, FloatArray
from engine.errors import RequestError
from engine.models import LoadedModel
from engine.pictures import OpenPicture, Picture, open_picture
from stylegan2 import Canvas, Generator

SHAPE = (10, 16)


def _latent(value: float) -> FloatArray:
    return np.full(SHAPE, value, np.float32)


def _mask(left: int, right: int) -> ByteArray:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, left:right] = 255
    return mask


LEFT, RIGHT, MIDDLE = _mask(0, 10), _mask(20, 32), _mask(6, 14)
WHITE, BLACK = _mask(0, 32), _mask(0, 0)


def _values(picture: Picture) -> list[float]:
    return [float(latent[0, 0]) for latent in picture.latents]


def test_without_a_mask_the_latent_of_the_image_changes() -> None:
    for mask in (None, WHITE):
        opened = open_picture(Picture(_latent(1)), mask, 4.0)
        assert opened.is_plain
        assert _values(opened.at(_latent(3))) == [3]


def test_a_mask_puts_a_layer_on_top_that_begins_like_the_image() -> None:
    opened = open_picture(Picture(_latent(1)), LEFT, 4.0)
    assert (opened.latent == 1).all()
    after = opened.at(_latent(3))
    assert _values(after) == [1, 3]
    assert np.array_equal(after.layers[0].mask, LEFT) and after.layers[0].softness == 4.0


def test_the_same_mask_opens_its_layer_again() -> None:
    once = open_picture(Picture(_latent(1)), LEFT, 4.0).at(_latent(3))
    again = open_picture(once, LEFT.copy(), 4.0)
    assert (again.latent == 3).all()
    assert _values(again.at(_latent(5))) == [1, 5]


def test_a_mask_elsewhere_leaves_the_layers_below_as_they_are() -> None:
    once = open_picture(Picture(_latent(1)), LEFT, 4.0).at(_latent(3))
    opened = open_picture(once, RIGHT, 4.0)
    assert (opened.latent == 1).all()
    assert _values(opened.at(_latent(2))) == [1, 3, 2]


def test_a_mask_over_a_layer_keeps_what_it_shows() -> None:
    once = open_picture(Picture(_latent(1)), LEFT, 4.0).at(_latent(3))
    opened = open_picture(once, MIDDLE, 4.0)
    assert (opened.latent == 1).all()
    after = opened.at(_latent(1.5))
    # The old layer, the new one, and the old one inside the new one: both moved by 0.5.
    assert _values(after) == [1, 3, 1.5, 3.5]
    assert [layer.clipped for layer in after.layers] == [False, False, True]
    assert np.array_equal(after.layers[2].mask, LEFT)
    again = open_picture(after, MIDDLE, 4.0)
    assert _values(again.at(_latent(2))) == [1, 3, 2, 4]


def test_a_mask_inside_a_layer_goes_on_from_that_layer() -> None:
    once = open_picture(Picture(_latent(1)), LEFT, 4.0).at(_latent(3))
    opened = open_picture(once, _mask(2, 8), 4.0)
    assert (opened.latent == 3).all()
    assert _values(opened.at(_latent(4))) == [1, 3, 4]


def test_without_a_mask_all_layers_move_with_the_image() -> None:
    once = open_picture(Picture(_latent(1)), LEFT, 4.0).at(_latent(3))
    opened = open_picture(once)
    assert _values(opened.at(_latent(1.5))) == [1.5, 3.5]


def test_another_softness_is_another_layer() -> None:
    once = open_picture(Picture(_latent(1)), LEFT, 4.0).at(_latent(3))
    assert _values(open_picture(once, LEFT, 8.0).at(_latent(4))) == [1, 3, 4]


def test_another_truncation_moves_all_latents() -> None:
    opened = open_picture(Picture(_latent(1)), LEFT, 4.0).at(_latent(3))
    moved = open_picture(opened, LEFT, 4.0).on(_latent(1.5))
    assert moved.first == 1
    assert _values(moved.picture) == [1.5, 3.5]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_picture_survives_its_bytes(generator: Generator, checkpoint: Path, count: int) -> None:
    model = LoadedModel(generator, checkpoint, "")
    shape = generator.num_ws, generator.w_dim
    random = np.random.default_rng(1)

    def latent() -> FloatArray:
        return random.normal(size=shape).astype(np.float32)

    layers = [Layer(mask=mask, softness=2.5, latent=latent()) for mask in (LEFT, MIDDLE)]
    picture = Picture(latent(), tuple(layers[:count]))
    data = picture.to_bytes()
    assert model.picture(data).equals(picture)
    if not count:
        assert data == picture.latent.tobytes()


def test_a_picture_of_another_model_is_refused(generator: Generator, checkpoint: Path) -> None:
    model = LoadedModel(generator, checkpoint, "")
    latent = np.zeros((generator.num_ws, generator.w_dim), np.float32)
    other = Layer(mask=np.zeros((8, 8), np.uint8), softness=0.0, latent=latent)
    with pytest.raises(RequestError, match="8 x 8 px, but the images of"):
        model.picture(Picture(latent, (other,)).to_bytes())
    wrong = Layer(mask=LEFT, softness=0.0, latent=latent[:3])
    with pytest.raises(RequestError):
        model.picture(Picture(latent, (wrong,)).to_bytes())
    with pytest.raises(RequestError, match="damaged"):
        model.picture(Picture(latent, (other,)).to_bytes()[:-9])


def test_a_canvas_shows_the_picture(generator: Generator) -> None:
    assert OpenPicture(Picture(np.zeros((10, 16), np.float32))).canvas(generator) is None


def test_a_sixth_mask_over_all_others_is_refused_before_it_is_computed() -> None:
    picture = Picture(_latent(1))
    for number in range(5):
        picture = open_picture(picture, _mask(8 - number, 16 + number), 1.0).picture
    assert len(picture.layers) == 31
    with pytest.raises(RequestError, match="at most 40 are computed; hide or remove an edit"):
        open_picture(picture, _mask(0, 30), 1.0)
    # A mask that is in use can be dragged again, and one beside the others is a layer of its own.
    assert len(open_picture(picture, _mask(4, 20), 1.0).picture.layers) == 31
    beside = open_picture(picture, _mask(24, 28), 1.0)
    assert len(beside.picture.layers) == 32
    # It has no room to grow over the others.
    assert beside.widened(_mask(0, 28)) is None


def test_canvases_that_follow_each_other_compute_what_is_below_once(generator: Generator) -> None:
    """It is kept while one of them is, and no longer."""
    size = generator.img_shape[1:]
    left, right = (_mask_of(size, columns) for columns in (slice(0, 10), slice(18, None)))
    lower, count = generator.synthesis.block(8).conv1, 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    def passes(start: float, mask: ByteArray) -> Canvas:
        nonlocal count
        count = 0
        base = Picture(np.full((generator.num_ws, generator.w_dim), start, np.float32))
        canvas = open_picture(base, mask).canvas(generator)
        assert canvas is not None
        canvas.image(canvas.start[None])
        return canvas

    handle = lower.register_forward_hook(counted)
    first = passes(0.1, left)
    assert count == 2  # below, and inside the mask
    second = passes(0.1, right)
    assert count == 1
    other = passes(0.2, right)
    assert count == 2
    del first, second, other
    passes(0.2, right)
    assert count == 2
    handle.remove()


def _mask_of(size: tuple[int, int], columns: slice) -> ByteArray:
    mask = np.zeros(size, np.uint8)
    mask[:, columns] = 255
    return mask
