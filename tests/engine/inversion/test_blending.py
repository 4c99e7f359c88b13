# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing an edit onto a picture."""

from __future__ import annotations

import numpy as np
import torch

from engine.arrays import ByteArray
from engine.inversion.alignment import Alignment
from engine.inversion.blending import BlendBack, to_linear, to_srgb

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
    np.testing.assert_array_equal(BlendBack(picture, FRAME, base).compose(base), picture)


def test_the_alpha_of_a_model_changes_nothing() -> None:
    picture, base = _noise(160, 200, 1), np.full((64, 64, 3), 120, dtype=np.uint8)
    alphas = _noise(64, 64, 4)
    with_alpha = (
        np.concatenate([image, alphas[..., index, None]], axis=2)
        for index, image in enumerate((base, _edited(base)))
    )
    result = BlendBack(picture, FRAME, next(with_alpha)).compose(next(with_alpha))
    wanted = BlendBack(picture, FRAME, base).compose(_edited(base))
    np.testing.assert_array_equal(result, wanted)


def test_only_what_was_changed_changes() -> None:
    picture, base = _noise(160, 200, 1), np.full((64, 64, 3), 120, dtype=np.uint8)
    result = BlendBack(picture, FRAME, base).compose(_edited(base))
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
    result = BlendBack(picture, FRAME, base).compose(lighter).astype(int)
    part = np.s_[60:100, 80:120]
    own, now = picture[part].astype(float), result[part].astype(float)
    assert (now - own).mean() > 2
    assert np.corrcoef(own.ravel(), now.ravel())[0, 1] > 0.95


def test_a_frame_that_reaches_out_of_the_picture() -> None:
    picture, base = _noise(60, 60, 3), np.full((64, 64, 3), 120, dtype=np.uint8)
    result = BlendBack(picture, Alignment(5.0, 30.0, 0.0, 64.0), base).compose(_edited(base))
    changed = (result != picture).any(axis=2)
    assert changed[:, :30].any(), "the visible part of the edit"
    assert not changed[:, 45:].any(), "beyond the frame"


def test_linear_light_and_back() -> None:
    values = torch.linspace(0, 1, 256)
    torch.testing.assert_close(to_srgb(to_linear(values)), values, atol=1e-5, rtol=0)
    assert abs(to_linear(torch.tensor(0.5)).item() - 0.21404) < 1e-4
