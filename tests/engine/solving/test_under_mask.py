# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs whose handles lie where an exact mask is black, of the built-in model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from engine.arrays import ByteArray, FloatArray
from engine.models import model_path, sample_latent
from engine.pictures import Picture
from engine.solving.drag import drag, open_for
from engine.solving.options import DragOptions
from engine.solving.points import LivePoints
from engine.solving.result import DragResult, DragStatus
from stylegan2 import Generator, load_generator

SIZE = 128
# Of the image of seed 700100.
EAR, EYE = (99.0, 68.0), (86.0, 55.0)
UP, ASIDE = (0.0, -6.0), (6.0, 0.0)
OPTIONS = DragOptions(max_steps=12)


@pytest.fixture(scope="module")
def suzanne() -> Generator:
    return load_generator(model_path("suzanne"))


def _circle(centre: tuple[float, float], radius: float) -> ByteArray:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    return np.where(inside, 255, 0).astype(np.uint8)


EAR_MASK, BOTH_MASK = _circle((102, 66), 16), _circle((94, 60), 30)


def _drag(
    generator: Generator,
    *pairs: tuple[tuple[float, float], tuple[float, float]],
    options: DragOptions = OPTIONS,
    **arguments: Any,
) -> DragResult:
    picture = Picture(sample_latent(generator, 700100, 0.7))
    opened = open_for(picture, EAR_MASK, options)
    handles = np.array([handle for handle, _ in pairs], np.float32)
    ways = np.array([way for _, way in pairs], np.float32)
    return drag(
        generator,
        opened.latent,
        handles,
        handles + ways,
        options,
        mask=EAR_MASK,
        opened=opened,
        judged=True,
        **arguments,
    )


def test_a_handle_under_black_does_not_keep_the_others_from_arriving(suzanne: Generator) -> None:
    result = _drag(suzanne, (EAR, UP), (EYE, ASIDE))
    assert result.status is DragStatus.REACHED and result.held == (False, True)
    assert np.abs(result.handles_px[:, 1] - EYE).max() < 0.5
    assert result.distances_px[-1] <= OPTIONS.tolerance_px
    pinned = _drag(suzanne, (EAR, UP), (EYE, (0.0, 0.0)))
    assert pinned.held == () and np.array_equal(pinned.latents, result.latents)


def test_what_is_said_where_the_mask_is_black_under_all_handles(suzanne: Generator) -> None:
    result = _drag(suzanne, (EYE, ASIDE), (EAR, (0.0, 0.0)))
    assert result.status is DragStatus.STALLED
    assert result.reason == (
        "the mask is black under handle 1, where nothing moves; paint white there"
    )
    assert result.held == (True, False) and result.steps <= 1


def test_a_region_under_black_stays_as_it_is(suzanne: Generator) -> None:
    regions: dict[str, Any] = {
        "radii_px": np.array([0.0, 5.0], np.float32),
        "turns": np.array([[0.0, 1.0], [0.5, 1.2]], np.float32),
    }
    result = _drag(suzanne, (EAR, UP), (EYE, (0.0, 0.0)), **regions)
    assert result.status is DragStatus.REACHED and result.held == (False, True)
    assert result.turns is not None
    assert np.allclose(result.turns[-1, 1], [0.0, 1.0], atol=0.05)


def test_a_soft_mask_holds_no_handle(suzanne: Generator) -> None:
    options = replace(OPTIONS, mask_mode="soft", max_steps=2)
    assert _drag(suzanne, (EAR, UP), (EYE, ASIDE), options=options).held == ()


class _LargerMask:
    """Replaces the mask by one that is white under both handles, when the drag comes to rest."""

    is_open = False

    def __init__(self, points: LivePoints) -> None:
        self._points: LivePoints | None = points

    def take(self, resting: Tensor | None) -> LivePoints | None:
        if resting is None:
            return None
        points, self._points = self._points, None
        return points


def test_under_a_larger_mask_the_handle_is_moved(suzanne: Generator) -> None:
    handles: FloatArray = np.array([EAR, EYE], np.float32)
    targets = handles + np.array([UP, (0.0, -4.0)], np.float32)
    larger = LivePoints(keys=(0, 1), handles_px=handles, targets_px=targets, mask=BOTH_MASK)
    ways = (EAR, UP), (EYE, (0.0, -4.0))
    result = _drag(suzanne, *ways, changes=_LargerMask(larger), options=DragOptions(max_steps=40))
    assert result.held == ()
    assert result.handles_px[-1, 1, 1] < EYE[1] - 2
    assert np.allclose(result.targets_px, targets)
