# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing an edit onto a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.arrays import ByteArray
from engine.inversion.alignment import Alignment
from engine.inversion.blending import BlendBack, to_linear, to_srgb
from engine.inversion.registration import Follower

from .scenes import CENTRE, SIZE, as_model, disc, values

FRAME = Alignment(100.0, 80.0, 8.0, 96.0)


def _noise(height: int, width: int, seed: int) -> ByteArray:
    source = np.random.default_rng(seed)
    return source.integers(40, 200, (height, width, 3), dtype=np.uint8)


def _edited(base: ByteArray) -> ByteArray:
    edited = base.copy()
    edited[24:36, 20:30] = 250
    return edited


def test_without_a_change_the_picture_stays_to_the_bit() -> None:
    picture, base = _noise(160, 200, 1), _noise(64, 64, 2)
    np.testing.assert_array_equal(BlendBack(picture, FRAME, base).compose(base).image, picture)


def test_the_alpha_of_a_model_changes_nothing() -> None:
    picture, base = _noise(160, 200, 1), np.full((64, 64, 3), 120, dtype=np.uint8)
    alphas = _noise(64, 64, 4)
    with_alpha = (
        np.concatenate([image, alphas[..., index, None]], axis=2)
        for index, image in enumerate((base, _edited(base)))
    )
    result = BlendBack(picture, FRAME, next(with_alpha)).compose(next(with_alpha)).image
    wanted = BlendBack(picture, FRAME, base).compose(_edited(base)).image
    np.testing.assert_array_equal(result, wanted)


def test_only_what_was_changed_changes() -> None:
    picture, base = _noise(160, 200, 1), np.full((64, 64, 3), 120, dtype=np.uint8)
    result = BlendBack(picture, FRAME, base).compose(_edited(base)).image
    middle = FRAME.to_picture(torch.tensor([25.0, 30.0]), (64, 64)).tolist()
    assert (result[int(middle[1]), int(middle[0])] > 240).all()
    rows, columns = np.nonzero((result != picture).any(axis=-1))
    there = FRAME.to_picture(torch.tensor([[25.0, 30.0]]), (64, 64)).numpy()[0]
    # Half the patch's diagonal is 8 pixels of the model; the border is widened and feathered.
    reach = (8 + 5) * 96 / 64
    assert np.hypot(columns - there[0], rows - there[1]).max() < reach


def test_a_small_change_keeps_the_pictures_own_detail() -> None:
    picture, base = _noise(160, 200, 1), np.full((64, 64, 3), 120, dtype=np.uint8)
    lighter = base.copy()
    lighter[10:54, 10:54] += 10
    result = BlendBack(picture, FRAME, base).compose(lighter).image.astype(int)
    part = np.s_[60:100, 80:120]
    own, now = picture[part].astype(float), result[part].astype(float)
    assert (now - own).mean() > 2
    assert np.corrcoef(own.ravel(), now.ravel())[0, 1] > 0.95


def test_a_frame_that_reaches_out_of_the_picture() -> None:
    picture, base = _noise(60, 60, 3), np.full((64, 64, 3), 120, dtype=np.uint8)
    result = BlendBack(picture, Alignment(5.0, 30.0, 0.0, 64.0), base).compose(_edited(base)).image
    changed = (result != picture).any(axis=2)
    assert changed[:, :30].any(), "the visible part of the edit"
    assert not changed[:, 45:].any(), "beyond the frame"


def _standing_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the picture's own content stay where it is."""

    def believed(_: Follower, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros_like(image[:, :2]), torch.ones_like(image[:, :1])

    monkeypatch.setattr(Follower, "believed", believed)


def _sharpness(image: ByteArray) -> float:
    right, down = (np.diff(image.astype(np.float32), axis=axis) for axis in (0, 1))
    return float(np.square(right).mean() + np.square(down).mean())


@pytest.mark.parametrize(
    "way",
    [(14.0, -9.0, 0.0), (0.0, 0.0, 10.0), (10.0, 10.0, -8.0)],
    ids=["moved", "turned", "both"],
)
def test_what_moves_keeps_its_fine_pattern(
    way: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, truth = disc(), disc(*way)
    frame = Alignment.whole(SIZE, SIZE)
    base, edited = as_model(picture), as_model(truth)
    result = BlendBack(picture, frame, base).compose(edited)
    there = result.matte > 0
    _standing_still(monkeypatch)
    unmoved = BlendBack(picture, frame, base).compose(edited)
    errors, sharpness = [], []
    left, top = (int(CENTRE[i] + way[i]) - 36 for i in (0, 1))
    part = np.s_[top : top + 72, left : left + 72]
    for one in (result.image, unmoved.image):
        errors.append(float(np.abs(one.astype(float) - truth)[part].mean()))
        sharpness.append(_sharpness(one[part]) / _sharpness(truth[part]))
    assert errors[0] < 0.35 * errors[1]
    assert abs(1 - sharpness[0]) < 0.1 < abs(1 - sharpness[1])
    np.testing.assert_array_equal(result.image[~there], picture[~there])


def test_what_is_new_is_taken_from_the_model() -> None:
    picture = disc()
    base = as_model(picture)
    edited = base.copy()
    edited[28:38, 24:38] = (90, 10, 20)
    result = BlendBack(picture, Alignment.whole(SIZE, SIZE), base).compose(edited).image
    inner = result[28 * 4 + 6 : 38 * 4 - 6, 24 * 4 + 6 : 38 * 4 - 6].astype(int)
    assert np.abs(inner - (90, 10, 20)).max() <= 2


def test_the_matte_says_which_pixels_have_changed() -> None:
    picture, way = disc(), (12.0, 0.0, 0.0)
    result = BlendBack(picture, Alignment.whole(SIZE, SIZE), as_model(picture)).compose(
        as_model(disc(*way))
    )
    assert result.matte.dtype == np.uint8
    assert result.matte.shape == (SIZE, SIZE)
    changed = (result.image != picture).any(axis=2)
    assert not changed[result.matte == 0].any()
    assert changed[result.matte == 255].mean() > 0.8
    assert 0.1 < (result.matte == 255).mean() < 0.5
    assert (result.matte[:, :20] == 0).all()


def test_a_picture_that_the_model_does_not_cover_stays_where_nothing_was_dragged() -> None:
    """The model's images move a disc; the picture has nothing like it."""
    picture = _noise(300, 320, 5)
    frame = Alignment(150.0, 160.0, 20.0, 200.0)
    base, edited = as_model(disc()), as_model(disc(16.0, 0.0, 5.0))
    composer = BlendBack(picture, frame, base)
    result = composer.compose(edited)
    # The disc, where it was and where it is, with what is widened and feathered around it.
    moved = (values(edited) - values(base)).abs().amax(dim=1)[0] > 0.012
    rows, columns = torch.nonzero(moved, as_tuple=True)
    places = frame.to_picture(torch.stack([columns, rows], dim=1) + 0.5, (64, 64))
    reach = 6 * 200 / 64
    y, x = np.nonzero((np.abs(result.image.astype(int) - picture) > 1).any(axis=2))
    points = torch.from_numpy(np.stack([x, y], axis=1) + 0.5).float()
    assert len(points) > 1000
    assert float(torch.cdist(points, places.float()).amin(dim=1).max()) < reach
    np.testing.assert_array_equal(result.image[result.matte == 0], picture[result.matte == 0])


def test_linear_light_and_back() -> None:
    values = torch.linspace(0, 1, 256)
    torch.testing.assert_close(to_srgb(to_linear(values)), values, atol=1e-5, rtol=0)
    assert abs(to_linear(torch.tensor(0.5)).item() - 0.21404) < 1e-4
