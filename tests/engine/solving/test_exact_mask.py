# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags with an exact mask, of the built-in model: what is held does not change by one bit."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from engine.arrays import ByteArray, FloatArray
from engine.models import sample_latent
from engine.output.render import render_image
from engine.output.track import Track
from engine.pictures import OpenPicture, Picture, open_picture
from engine.solving.drag import drag, open_for
from engine.solving.loop import Loop
from engine.solving.methods import looks
from engine.solving.options import DragOptions
from engine.solving.points import LivePoints
from engine.solving.result import DragResult, DragStatus
from stylegan2 import Canvas, Generator, load_generator
from stylegan2.models import builtin_model_path

SIZE = 128
# Of the image of seed 700100: an ear and an eye, with circles around them.
EAR, EYE = (99.0, 68.0), (86.0, 55.0)


@pytest.fixture(scope="module")
def suzanne() -> Generator:
    path = builtin_model_path("suzanne")
    assert path is not None
    return load_generator(path)


@pytest.fixture(scope="module")
def start(suzanne: Generator) -> FloatArray:
    return sample_latent(suzanne, 700100, 0.7)


def _circle(centre: tuple[float, float], radius: float) -> ByteArray:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    return np.where(inside, 255, 0).astype(np.uint8)


EAR_MASK, EYE_MASK = _circle((99, 64), 22), _circle(EYE, 13)
WHITE, BLACK = np.full((SIZE, SIZE), 255, np.uint8), np.zeros((SIZE, SIZE), np.uint8)
OPTIONS = DragOptions(max_steps=12)


def _drag(
    generator: Generator,
    picture: Picture,
    handle: tuple[float, float],
    by: tuple[float, float],
    mask: ByteArray | None,
    options: DragOptions = OPTIONS,
    **arguments: Any,
) -> DragResult:
    opened = open_for(picture, mask, options)
    handles = np.array([handle], np.float32)
    return drag(
        generator,
        opened.latent,
        handles,
        handles + np.array([by], np.float32),
        options,
        mask=mask,
        opened=opened,
        **arguments,
    )


def _image(generator: Generator, picture: Picture) -> ByteArray:
    return render_image(generator, picture)


@pytest.fixture(scope="module")
def ear_up(suzanne: Generator, start: FloatArray) -> DragResult:
    return _drag(suzanne, Picture(start), EAR, (0, -9), EAR_MASK, judged=True)


def test_one_ear_is_lifted_and_nothing_else_changes(
    suzanne: Generator, start: FloatArray, ear_up: DragResult
) -> None:
    assert ear_up.status is DragStatus.REACHED, ear_up.reason
    before = _image(suzanne, Picture(start))
    for row in range(len(ear_up.latents)):
        image = _image(suzanne, ear_up.picture(row))
        assert np.array_equal(image[EAR_MASK == 0], before[EAR_MASK == 0])
    changed = np.abs(image.astype(int) - before)[EAR_MASK > 0]
    assert changed.mean() > 5


def test_windows_and_whole_maps_give_the_same_steps(suzanne: Generator, start: FloatArray) -> None:
    # Few steps, because each one magnifies the rounding of those before it.
    options = replace(OPTIONS, max_steps=2)
    whole, cut = (
        _drag(suzanne, Picture(start), EAR, (0, -9), EAR_MASK, options, windows=windows)
        for windows in (False, True)
    )
    assert cut.steps == whole.steps == 2
    np.testing.assert_allclose(cut.handles_px, whole.handles_px, atol=0.01)
    # Not the latents: what the picture hardly shows is hardly determined.
    images = [_image(suzanne, found.picture(-1)).astype(int) for found in (whole, cut)]
    assert np.abs(images[0] - images[1]).mean() < 0.2


def test_a_white_mask_is_as_no_mask(suzanne: Generator, start: FloatArray) -> None:
    options = replace(OPTIONS, max_steps=3)
    free, white = (
        _drag(suzanne, Picture(start), EAR, (0, -9), mask, options) for mask in (None, WHITE)
    )
    assert np.array_equal(free.latents, white.latents)
    assert not white.picture(-1).layers


def test_a_black_mask_moves_nothing(suzanne: Generator, start: FloatArray) -> None:
    found = _drag(suzanne, Picture(start), EAR, (0, -9), BLACK)
    assert found.status is DragStatus.STALLED
    before = _image(suzanne, Picture(start))
    assert np.array_equal(_image(suzanne, found.picture(-1)), before)


def test_a_drag_under_another_mask_leaves_the_first_one_as_it_is(
    suzanne: Generator, ear_up: DragResult
) -> None:
    after_ear = ear_up.picture(-1)
    eye = _drag(suzanne, after_ear, EYE, (-3, 0), EYE_MASK)
    assert len(eye.picture(-1).layers) >= 2
    first, last = (_image(suzanne, picture) for picture in (after_ear, eye.picture(-1)))
    assert np.array_equal(last[EYE_MASK == 0], first[EYE_MASK == 0])
    # The ear is lifted inside the second mask too, where the two overlap.
    at_start = _image(suzanne, eye.picture(0))
    assert np.array_equal(at_start, first)


def test_a_drag_under_the_same_mask_goes_on_with_its_layer(
    suzanne: Generator, ear_up: DragResult
) -> None:
    x, y = ear_up.handles_px[-1, 0]
    again = _drag(suzanne, ear_up.picture(-1), (x, y), (3, 0), EAR_MASK.copy())
    assert len(again.picture(-1).layers) == 1
    assert np.array_equal(again.latents[0], ear_up.latents[-1])


def test_a_drag_without_a_mask_takes_the_layers_along(
    suzanne: Generator, start: FloatArray, ear_up: DragResult
) -> None:
    options = replace(OPTIONS, max_steps=3)
    turned = _drag(suzanne, ear_up.picture(-1), (64.0, 75.0), (6, 0), None, options)
    after = turned.picture(-1)
    change = after.latent - start
    assert np.abs(change).max() > 0.01
    (layer,) = after.layers
    np.testing.assert_allclose(layer.latent - ear_up.latents[-1], change, atol=1e-5)


def test_the_soft_mode_has_one_latent(suzanne: Generator, start: FloatArray) -> None:
    options = replace(OPTIONS, mask_mode="soft", max_steps=3)
    found = _drag(suzanne, Picture(start), EAR, (0, -9), EAR_MASK, options)
    assert not found.picture(-1).layers


def test_a_track_holds_the_pictures_of_the_drag(ear_up: DragResult) -> None:
    track = Track.from_drag(ear_up, OPTIONS, model_name="s", model_sha256="0" * 64)
    again = Track.from_bytes(track.to_bytes())
    assert len(again) == len(ear_up.latents)
    for row in range(len(again)):
        assert again.picture(row).equals(ear_up.picture(row))
    assert again.to_bytes() == track.to_bytes()


def test_open_pictures_are_those_of_the_options(start: FloatArray) -> None:
    soft = replace(OPTIONS, mask_mode="soft")
    assert open_for(Picture(start), EAR_MASK, soft).is_plain
    exact = open_for(Picture(start), EAR_MASK, replace(OPTIONS, softness=7.0))
    assert exact.picture.layers[0].softness == 7.0
    assert open_picture(exact.picture, EAR_MASK, 7.0).first == 1


@pytest.mark.parametrize("method", ["linearised", "draggan"])
def test_nothing_of_a_drag_stays_in_memory(
    suzanne: Generator, start: FloatArray, method: str
) -> None:
    for windows in (False, True):
        options = replace(OPTIONS, method=method, max_steps=2)
        _drag(suzanne, Picture(start), EAR, (0, -9), EAR_MASK, options, windows=windows)
    gc.collect()
    left = [one for one in gc.get_objects() if type(one) in (Loop, Canvas)]
    assert not left


def test_a_larger_mask_shows_more_of_the_same_layer(suzanne: Generator, ear_up: DragResult) -> None:
    opened = ear_up.opened
    assert opened is not None
    larger = _circle((99, 60), 30)
    wider = OpenPicture(ear_up.picture(-1), opened.first).widened(np.maximum(larger, EAR_MASK))
    assert wider is not None
    first, second = (_image(suzanne, picture) for picture in (ear_up.picture(-1), wider.picture))
    assert np.array_equal(first[larger == 0], second[larger == 0])
    assert not np.array_equal(first, second)
    assert np.array_equal(wider.latent, ear_up.latents[-1])


def test_a_larger_mask_takes_up_the_layers_that_it_covers(
    suzanne: Generator, ear_up: DragResult
) -> None:
    opened = open_for(ear_up.picture(-1), _circle((66, 60), 8), OPTIONS)
    assert len(opened.picture.layers) == 2, "the first mask does not touch the ear's"
    wider = opened.widened(WHITE)
    assert wider is not None
    assert len(wider.picture.layers) == 3, "the ear's layer is repeated inside the larger mask"
    # Without a change, everything is as it was, to rounding.
    before, after = (_image(suzanne, p).astype(int) for p in (ear_up.picture(-1), wider.picture))
    assert np.abs(before - after).max() <= 1


def test_a_picture_without_a_mask_gets_no_larger_one(start: FloatArray) -> None:
    assert open_picture(Picture(start)).widened(WHITE) is None


class _Widening:
    """Changes that replace the target and the mask once, when the drag comes to rest."""

    is_open = False

    def __init__(self, handle: tuple[float, float], by: tuple[float, float], mask: ByteArray):
        handles = np.array([handle], np.float32)
        self._points: LivePoints | None = LivePoints(
            keys=(0,),
            handles_px=handles,
            targets_px=handles + np.array([by], np.float32),
            mask=mask,
        )

    def take(self, resting: Tensor | None) -> LivePoints | None:
        points, self._points = (None, self._points) if resting is None else (self._points, None)
        return points


@pytest.mark.parametrize("method", ["linearised", "draggan", "freedrag"])
@pytest.mark.parametrize("windows", [False, True])
def test_a_drag_goes_on_under_a_larger_mask(
    suzanne: Generator, start: FloatArray, method: str, windows: bool
) -> None:
    options = replace(OPTIONS, method=method, max_steps=6)
    small = _circle((99, 66), 14)
    large = np.maximum(small, _circle((99, 54), 16))
    result = _drag(
        suzanne,
        Picture(start),
        EAR,
        (0, -3),
        small,
        options,
        windows=windows,
        changes=_Widening(EAR, (0, -14), large),
    )
    assert result.opened is not None
    assert np.array_equal(result.picture(-1).layers[0].mask, large)
    # The methods that descend make small steps.
    least = 4 if method == "linearised" else 0.5
    assert result.handles_px[-1, 0, 1] < EAR[1] - least, "the ear goes on under the larger mask"
    before = _image(suzanne, Picture(start))
    last = _image(suzanne, result.picture(-1))
    assert np.array_equal(last[large == 0], before[large == 0])
    assert not np.array_equal(last[small == 0], before[small == 0])


def test_what_is_pulled_far_keeps_its_looks(
    suzanne: Generator, start: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = _circle((70, 112), 27)
    before = _image(suzanne, Picture(start))

    def change(weight: float) -> float:
        """Return how much what was pulled down from the chin has changed, of 255."""
        monkeypatch.setattr(looks, "_WEIGHT", weight)
        found = _drag(suzanne, Picture(start), (70.2, 102.7), (0, 18), mask)
        assert found.distances_px[-1] < 1
        x, y = np.round(found.handles_px[-1, 0] - found.handles_px[0, 0]).astype(int)
        part = np.s_[96:109, 64:77]
        after = np.roll(_image(suzanne, found.picture(-1)), (-y, -x), axis=(0, 1))
        return float(np.abs(after[part].astype(int) - before[part]).mean())

    assert change(4 / 3) < 0.8 * change(0.0)
