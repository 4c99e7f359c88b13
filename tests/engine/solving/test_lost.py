# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles that were lost, in images whose content is known to have been shifted."""

from __future__ import annotations

import numpy as np
import torch

from engine.arrays import FloatArray
from engine.features.source import feature_block, grid_of
from engine.solving.lost import find_lost, lost_sentence
from engine.solving.options import DragOptions
from engine.solving.pair_points import Known

from ..synthetic import HANDLES, START, ShiftGenerator, as_generator

SHIFT_PX = np.array([4.0, -3.0], dtype=np.float32)


def _lost(off_px: FloatArray) -> tuple[bool, ...]:
    """Return which handles are lost if they were tracked this far off the truth, ``2 x 2`` px."""
    generator = as_generator(ShiftGenerator())
    start = torch.from_numpy(START)
    known = [Known(start, 0.0, handle[None], np.zeros((1, 2), np.float32)) for handle in HANDLES]
    end = START.copy()
    end[0, :2] = SHIFT_PX / 20
    grid = grid_of(generator, feature_block(generator))
    tracked = HANDLES + SHIFT_PX + off_px
    return find_lost(generator, DragOptions(), grid, known, None, tracked, torch.from_numpy(end))


def test_handles_on_their_content_are_not_lost() -> None:
    assert _lost(np.array([[0.0, 0.0], [0.8, -0.5]], dtype=np.float32)) == (False, False)


def test_a_handle_on_something_else_is_lost_and_the_other_is_not() -> None:
    assert _lost(np.array([[0.0, 0.0], [0.0, -12.0]], dtype=np.float32)) == (False, True)


def test_the_sentence_names_the_handles() -> None:
    assert lost_sentence((False, True)).startswith("handle 2 was lost: its place")
    assert lost_sentence((True, True, True)).startswith("handles 1, 2 and 3 were lost: their")
