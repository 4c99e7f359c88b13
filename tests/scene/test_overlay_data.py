# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the overlay: each state has its own, and everything has a white and a dark rim."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from draggan_blender.scene import overlay_data, overlay_shapes
from draggan_blender.scene.overlay_data import Drawing, Mark

BLUE = (0.0, 0.447, 0.698)
PAIR = Mark(number="3", color=BLUE, handle=(100.0, 100.0), target=(300.0, 100.0))
STATES = ("FINE", "FLAT", "LOST", "SHORT", "MASKED")


def painted(drawing: Drawing, size: int = 400) -> NDArray[np.float64]:
    """Return a coarse raster of the opaque triangles: RGB per px, NaN where nothing was drawn."""
    image = np.full((size, size, 3), np.nan)
    corners, colors = drawing.triangles()
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    for (a, b, c), rgba in zip(corners.reshape(-1, 3, 2), colors[::3], strict=True):
        low, high = np.floor(np.min((a, b, c), axis=0)), np.ceil(np.max((a, b, c), axis=0))
        box = (
            slice(max(int(low[1]), 0), max(int(high[1]), 0)),
            slice(max(int(low[0]), 0), max(int(high[0]), 0)),
        )
        px, py = x[box], y[box]
        sides = [
            (q[0] - p[0]) * (py - p[1]) - (q[1] - p[1]) * (px - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        inside = np.all([s >= 0 for s in sides], axis=0) | np.all([s <= 0 for s in sides], axis=0)
        if rgba[3] > 0.5:
            image[box][inside] = rgba[:3]
    return image


def handle_shape(state: str) -> NDArray[np.bool_]:
    """Return which px of the marker of a handle are drawn in a colour that is not white."""
    drawing = overlay_data.draw([replace(PAIR, state=state, target=None)], 1.0)
    near = painted(drawing)[85:115, 85:115]
    return np.asarray(np.isfinite(near).all(axis=2) & (near.min(axis=2) < 0.95))


def test_every_state_has_a_shape_of_its_own_also_without_colours() -> None:
    shapes = {state: handle_shape(state) for state in ("FINE", "FLAT", "LOST", "MASKED")}
    for one, other in combinations(shapes, 2):
        union = (shapes[one] | shapes[other]).sum()
        assert (shapes[one] ^ shapes[other]).sum() > 0.3 * union, (one, other)
    # A handle that cannot be followed is open in the middle.
    assert not shapes["FLAT"][14:17, 14:17].any()
    assert shapes["FINE"][14:17, 14:17].all()


def test_a_pin_that_did_not_hold_has_a_ring_of_dashes() -> None:
    pin = replace(PAIR, is_pin=True, target=PAIR.handle)
    fine, _ = overlay_data.draw([pin], 1.0).triangles()
    left, colors = overlay_data.draw([replace(pin, state="SHORT")], 1.0).triangles()
    assert np.ptp(left[:, 0]) > 1.5 * np.ptp(fine[:, 0])
    assert (
        (colors[:, :3] == np.array(overlay_shapes.SHORT_COLOR, dtype=np.float32)).all(axis=1).any()
    )


def test_the_way_that_is_left_is_dashed() -> None:
    counts = {}
    for state in STATES:
        ends, colors = overlay_data.draw([replace(PAIR, state=state)], 1.0).segments()
        counts[state] = len(ends) // 2
        lengths = np.linalg.norm(ends[1::2] - ends[::2], axis=1)
        assert (lengths > 0.0).all()
        assert (ends[:, 0] > 100.0).all()
        assert (ends[:, 0] < 300.0).all()
        is_left = state in ("SHORT", "MASKED")
        expected = overlay_shapes.SHORT_COLOR if is_left else BLUE
        np.testing.assert_allclose(colors[0, :3], expected, atol=1e-6)
    assert counts["FINE"] == counts["FLAT"] == counts["LOST"] == 1
    assert counts["SHORT"] == counts["MASKED"] > 5


def test_an_arrow_points_at_the_target_and_is_left_out_where_there_is_no_room() -> None:
    for angle in (0.0, 1.0, 2.5, 4.0):
        target = (200.0 + 90.0 * math.cos(angle), 200.0 + 90.0 * math.sin(angle))
        mark = Mark(number="", color=BLUE, handle=(200.0, 200.0), target=target)
        ends, _ = overlay_data.draw([mark], 1.0).segments()
        along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        np.testing.assert_allclose(along, (math.cos(angle), math.sin(angle)), atol=1e-4)
    reached = replace(PAIR, target=(104.0, 100.0))
    assert len(overlay_data.draw([reached], 1.0).segments()[0]) == 0


def test_every_shape_has_a_white_and_a_dark_rim() -> None:
    for mark in (
        replace(PAIR, target=None),
        replace(PAIR, handle=None),
        replace(PAIR, is_pin=True, target=PAIR.handle),
        *(replace(PAIR, state=state) for state in STATES),
    ):
        _, colors = overlay_data.draw([mark], 1.0).triangles()
        rgb, alpha = colors[:, :3], colors[:, 3]
        assert (rgb[alpha > 0.9] == 1.0).all(axis=1).any()
        assert (rgb[alpha > 0.5] == 0.0).all(axis=1).any()


def test_numbers_can_be_read_on_their_discs() -> None:
    for color in (BLUE, (0.941, 0.894, 0.259), (0.95, 0.95, 0.95), (0.0, 0.0, 0.0)):
        (label,) = overlay_data.draw([replace(PAIR, color=color)], 1.0).labels
        light, dark = sorted(
            (overlay_data.luminance(color), overlay_data.luminance(label.color)), reverse=True
        )
        assert (light + 0.05) / (dark + 0.05) > 4.5
        assert (label.text, label.place, label.is_bare) == ("3", (100.0, 100.0), False)


def test_a_selected_handle_shows_what_it_marks_and_its_number_is_beside_it() -> None:
    mark = replace(PAIR, is_handle_selected=True)
    drawing = overlay_data.draw([mark], 1.0)
    (label,) = drawing.labels
    assert label.is_bare
    assert math.dist(label.place, (100.0, 100.0)) > overlay_shapes.HANDLE
    assert not np.isfinite(painted(drawing)[100, 104:106]).any()
    (lost,) = overlay_data.draw([replace(PAIR, state="LOST")], 1.0).labels
    assert (lost.text, lost.is_bare) == ("3?", True)


def test_sizes_follow_the_interface_and_opacity_the_mark() -> None:
    def extent(scale: float, size: float = 1.0) -> float:
        mark = replace(PAIR, target=None, number="", size=size)
        corners, _ = overlay_data.draw([mark], scale).triangles()
        return float(np.ptp(corners[:, 0]))

    assert extent(2.0) == pytest.approx(2.0 * extent(1.0), rel=1e-5)
    assert extent(1.0, 0.5) == pytest.approx(0.5 * extent(1.0), rel=1e-5)
    alone = replace(PAIR, target=None)
    faint = overlay_data.draw([replace(alone, alpha=0.35), alone], 1.0)
    _, colors = faint.triangles()
    assert colors[: len(colors) // 2, 3].max() == pytest.approx(0.35)
    assert colors[:, 3].max() == 1.0
    # The shapes of other marks are not changed by it.
    _, colors = overlay_data.draw([PAIR], 1.0).triangles()
    assert colors[:, 3].max() == 1.0


def test_parts_of_a_line_that_are_behind_the_viewer_are_left_out() -> None:
    line = np.array([(0, 0), (10, 0), (np.nan, np.nan), (30, 0), (40, 0)], dtype=np.float32)
    mark = Mark(number="", color=BLUE, lines=(line,))
    drawing = overlay_data.draw([mark], 1.0)
    assert drawing.segments()[0].tolist() == [[0, 0], [10, 0], [30, 0], [40, 0]]
    assert len(drawing.triangles()[0]) == 0
