# SPDX-License-Identifier: GPL-3.0-or-later
"""The strength of a drag's change in other images, where it is known in closed form.

The features of ``ShiftGenerator`` are moved by a linear function of the latent: content that is at
``p`` in the image of zeros is at ``p + 20 * (sum of the first two entries of w)`` px in another.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.solving import same_end
from engine.solving.options import DragOptions
from engine.solving.same_end import Applied, SameEnd

from ..synthetic import HANDLES, START, ShiftGenerator, as_generator

# px: the error of following content over eight images, in a map with pixels of two image pixels.
_FINE = 0.4


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take any latent for one of the model: the W of the stand-in is a few px wide."""
    monkeypatch.setattr(same_end, "distance", lambda generator, latent: 0.0)


def _shifted(x_px: float, y_px: float) -> FloatArray:
    latent = START.copy()
    latent[1, :2] = np.array([x_px, y_px]) / 20
    return latent


def _solver(
    way_px: tuple[float, float], handles: FloatArray = HANDLES, **arguments: Any
) -> SameEnd:
    return SameEnd(as_generator(ShiftGenerator()), START, _shifted(*way_px), handles, **arguments)


@pytest.mark.parametrize("way_px", [(4.0, 0.0), (3.0, -3.0)])
@pytest.mark.parametrize("other_px", [(0.0, 0.0), (2.0, 1.0), (-5.0, 4.0), (6.0, 0.0)])
def test_the_strength_brings_content_as_far_along_the_way(
    way_px: tuple[float, float], other_px: tuple[float, float]
) -> None:
    found = _solver(way_px).apply(_shifted(*other_px))
    way = np.array(way_px)
    # p + other + s * way has the same component along the way as p + way.
    along = float(np.array(other_px) @ way / (way @ way))
    assert found.strength == pytest.approx(1 - along, abs=_FINE / math.hypot(*way_px))
    aside = np.array(other_px) - along * way
    assert found.left_px < 4 * _FINE  # px of 128, and the image has 32
    assert found.aside_px == pytest.approx(4 * float(np.linalg.norm(aside)), abs=4 * _FINE)
    assert found.has_arrived
    assert not found.problem


def test_the_image_of_the_drag_itself_has_the_strength_of_the_drag() -> None:
    for strength in (1.0, -0.5):
        found = _solver((6.0, 2.0), strength=strength).apply(START)
        assert found.strength == pytest.approx(strength, abs=_FINE / math.hypot(6.0, 2.0))


def test_with_pins_the_end_is_measured_from_them() -> None:
    # All content moves alike, so from a pin, nothing ever moves.
    with pytest.raises(RequestError, match=r"moves its handles by 0\.\d px"):
        _solver((4.0, 0.0), HANDLES[:1], pins_px=HANDLES[1:])


def test_a_change_that_leaves_the_model_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    def distance(_generator: object, latent: FloatArray) -> float:
        return abs(float(latent[:, :2].sum(axis=0)[0])) * 20 / 3  # 1 at 3 px

    monkeypatch.setattr(same_end, "distance", distance)
    found = _solver((4.0, 0.0)).apply(_shifted(-4.0, 0.0))
    # At 1.4 times 3 px the image is at the limit: 4.2 = -4 + 4 s.
    assert found.strength == pytest.approx(2.0, abs=_FINE / 4)
    found = _solver((8.0, 0.0)).apply(_shifted(-4.0, 0.0))
    assert found.strength == pytest.approx(8.2 / 8, abs=0.02)
    assert found.is_limited
    assert not found.has_arrived
    assert "more would leave what the model knows" in found.problem


def test_content_that_does_not_lead_back_is_not_found_for_sure() -> None:
    class Torn(ShiftGenerator):
        """From 3 px on, the content is another one."""

        def features(self, ws: Any, resolution: int) -> Any:
            shift = self.shift_of(ws[0])
            if float(shift[1]) > 1.5:
                return self.waves.map(24, 16, shift * 3 + 40.0)[None].flip(1)
            return super().features(ws, resolution)

    solver = SameEnd(as_generator(Torn()), START, _shifted(4.0, 0.0), HANDLES)
    found = solver.apply(_shifted(0.0, 6.0))
    assert not found.is_found
    assert "not found for sure" in found.problem


def test_the_very_place_is_reached_by_a_drag_of_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The W of the stand-in is the same in all directions, so that its principal ones say nothing.
    monkeypatch.setattr(same_end, "DragOptions", lambda: DragOptions(latent_space="w+"))
    solver = _solver((4.0, 0.0))
    latent = _shifted(1.0, 3.0)
    applied = solver.apply(latent)
    assert applied.aside_px == pytest.approx(12.0, abs=4 * _FINE)
    finished = solver.finish(latent, applied)
    assert finished.rest is not None
    total = latent + applied.strength * _shifted(4.0, 0.0) + finished.rest
    np.testing.assert_allclose(20 * total[:, :2].sum(axis=0), [4.0, 0.0], atol=0.5)
    assert finished.has_arrived


def test_it_depends_on_nothing_but_what_it_is_asked() -> None:
    solver = _solver((3.0, -3.0))
    first = solver.apply(_shifted(1.0, 2.0))
    solver.apply(_shifted(-3.0, 0.0))
    assert solver.apply(_shifted(1.0, 2.0)).strength == first.strength


@pytest.mark.parametrize("strength", [0.0, float("nan"), float("inf")])
def test_a_strength_that_is_none_is_refused(strength: float) -> None:
    with pytest.raises(RequestError, match="must be a number but 0"):
        _solver((4.0, 0.0), strength=strength)


def test_a_change_that_moves_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="no end to reach"):
        _solver((0.0, 0.0))


def test_what_is_told() -> None:
    told = {"strength": 2.0, "aside_px": 9.0, "is_limited": False, "places": None}
    near = Applied(left_px=1.9, is_found=True, **told)  # type: ignore[arg-type]
    far = Applied(left_px=2.1, is_found=True, **told)  # type: ignore[arg-type]
    unsure = Applied(left_px=0.0, is_found=False, **told)  # type: ignore[arg-type]
    assert (near.problem, near.has_arrived) == ("", True)
    assert far.problem == "the end cannot be reached: 2.1 px are left"
    assert "not found for sure" in unsure.problem
