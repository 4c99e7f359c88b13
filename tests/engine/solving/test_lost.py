# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles that were lost, in images whose content is known to have been shifted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.arrays import FloatArray
from engine.features.source import FeatureGrid, feature_block, grid_of
from engine.solving.lost import change_at_end, find_lost, lost_sentence
from engine.solving.options import DragOptions
from engine.solving.pair_points import Known
from stylegan2 import Generator

from ..synthetic import HANDLES, START, ShiftGenerator, as_generator

SHIFT_PX = np.array([4.0, -3.0], dtype=np.float32)


class Fading(ShiftGenerator):
    """In the last part of a way, the features turn into others; the third entry of w says where."""

    def features(self, ws: Tensor, resolution: int) -> Tensor:
        """Return ``1 x C x 24 x 16`` and count the call."""
        share = float(ws[0, 0, 2])
        here = super().features(ws, resolution)
        other = here.roll(7, dims=1) * 3.0
        return torch.lerp(here, other, share)


def _ended(
    off_px: FloatArray, generator: ShiftGenerator | None, fade: float
) -> tuple[Generator, FeatureGrid, list[Known], FloatArray, Tensor]:
    """Return the end of a drag: model, map, pairs, where they were tracked, and latent."""
    model = as_generator(generator or ShiftGenerator())
    start = torch.from_numpy(START)
    known = [Known(start, 0.0, handle[None], np.zeros((1, 2), np.float32)) for handle in HANDLES]
    end = START.copy()
    end[0, :2] = SHIFT_PX / 20
    end[0, 2] = fade
    grid = grid_of(model, feature_block(model))
    return model, grid, known, HANDLES + SHIFT_PX + off_px, torch.from_numpy(end)


def _lost(
    off_px: FloatArray, generator: ShiftGenerator | None = None, fade: float = 0.0
) -> tuple[bool, ...]:
    """Return which handles are lost if they were tracked this far off the truth, ``2 x 2`` px."""
    model, grid, known, tracked, end = _ended(off_px, generator, fade)
    return find_lost(model, DragOptions(), grid, known, None, tracked, end)


def test_handles_on_their_content_are_not_lost() -> None:
    assert _lost(np.array([[0.0, 0.0], [0.8, -0.5]], dtype=np.float32)) == (False, False)


def test_a_handle_on_something_else_is_lost_and_the_other_is_not() -> None:
    assert _lost(np.array([[0.0, 0.0], [0.0, -12.0]], dtype=np.float32)) == (False, True)


def test_handles_that_look_like_themselves_are_believed_without_a_search() -> None:
    generator, right = ShiftGenerator(), np.zeros((2, 2), dtype=np.float32)
    _lost(right, generator)
    generator.calls = 0
    assert _lost(right, generator) == (False, False)
    # The first image and the last one.
    assert generator.calls == 2


def test_a_place_that_looks_like_nothing_before_is_not_believed_if_one_search_says_so() -> None:
    # Where the features have changed beyond recognition, no search has found the content.
    off_px = np.array([[0.0, 0.0], [0.0, -4.0]], dtype=np.float32)
    assert _lost(off_px) == (False, False)
    assert _lost(off_px, Fading(), fade=1.0) == (False, True)


def test_looks_change_by_what_is_no_shift_and_the_most_changed_handle_counts() -> None:
    def changed(off_px: FloatArray, fade: float = 0.0) -> float:
        model, grid, known, tracked, end = _ended(off_px, Fading(), fade)
        return change_at_end(model, DragOptions(), grid, known, tracked, end).looks

    right, one_wrong = np.zeros((2, 2), np.float32), np.array([[0, 0], [0, -12]], np.float32)
    assert changed(right) < 0.1
    assert changed(one_wrong) > 0.8
    assert changed(right, fade=1.0) > 1.3


def test_the_sentence_names_the_handles() -> None:
    assert lost_sentence((False, True)).startswith("handle 2 was lost: its place")
    assert lost_sentence((True, True, True)).startswith("handles 1, 2 and 3 were lost: their")
