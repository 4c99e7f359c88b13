# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest

from engine.output.even_rows import even_rows
from engine.solving.result import DragResult, DragStatus

# For each row, the x and y of each handle.
Handles = list[list[list[float]]]


def _result(
    handles_px: Handles,
    best_index: int = 0,
    distances_px: list[float] | None = None,
) -> DragResult:
    """Return a drag with these handles, whose distance falls with the row."""
    rows = len(handles_px)
    rising = np.arange(rows, dtype=np.float32)
    source = np.random.RandomState(0)
    return DragResult(
        status=DragStatus.STALLED,
        reason="why",
        latents=source.randn(rows, 4, 3).astype(np.float32),
        num_layers=2,
        keys=tuple(range(len(handles_px[0]))),
        targets_px=np.array(handles_px[-1], dtype=np.float32),
        handles_px=np.array(handles_px, dtype=np.float32),
        distances_px=np.array(distances_px or 10 - rising, dtype=np.float32),
        losses=rising / 3,
        best_index=best_index,
        steps=7,
        seconds=2.5,
    )


def test_no_handle_goes_further_than_a_256th_of_the_width() -> None:
    result = _result([[[1, 1], [9, 9]], [[3.2, 1], [9, 9]], [[3.2, 1], [9, 5.9]]])
    even = even_rows(result, 128)  # half a pixel
    ways = np.linalg.norm(np.diff(even.handles_px, axis=0), axis=2)
    assert ways.max() <= 0.5 + 1e-6
    # 2.2 px in 5 and 3.1 px in 7 parts, each as long as the next.
    assert len(even.latents) == 1 + 5 + 7
    assert ways[:5, 0] == pytest.approx([2.2 / 5] * 5, abs=1e-5)


def test_the_steps_stay_as_they_are_and_the_rest_is_straight_between_them() -> None:
    result = _result([[[0, 0]], [[1, 0]], [[1, 2]]], best_index=1)
    even = even_rows(result, 256)  # one pixel
    assert len(even.latents) == 4
    for name in ("latents", "handles_px", "distances_px", "losses"):
        old, new = getattr(result, name), getattr(even, name)
        assert new.dtype == np.float32
        assert np.array_equal(new[[0, 1, 3]], old)
        assert np.allclose(new[2], (old[1] + old[2]) / 2, atol=1e-6)
    assert even.best_index == 1
    assert even_rows(_result([[[0, 0]], [[9, 0]], [[9, 1]]], best_index=1), 256).best_index == 9


def test_nothing_is_put_between_short_steps_or_after_none() -> None:
    cases: list[Handles] = [[[[5, 5]], [[5.1, 5]], [[5.1, 5]]], [[[5, 5]]]]
    for handles in cases:
        result = _result(handles)
        even = even_rows(result, 64)
        assert np.array_equal(even.latents, result.latents)
        assert np.array_equal(even.handles_px, result.handles_px)


def test_what_is_no_row_is_kept() -> None:
    even = even_rows(_result([[[0, 0]], [[30, 0]]]), 64)
    assert (even.status, even.reason, even.steps, even.seconds) == ("stalled", "why", 7, 2.5)
    assert even.num_layers == 2


def test_steps_that_led_away_are_left_out_with_the_ways_to_them_and_back() -> None:
    handles: Handles = [[[0, 0]], [[1, 0]], [[9, 9]], [[7, 7]], [[1.5, 0]], [[8, 0]], [[2, 0]]]
    result = _result(handles, best_index=6, distances_px=[5, 4, 8, 7, 3.5, 3.5, 3])
    even = even_rows(result, 1000)  # 3.9 px: nothing need be put between
    # Row 3 is nearer than the one before, but not than row 1; row 5 is as near as row 4.
    kept = [0, 1, 4, 6]
    assert np.array_equal(even.latents, result.latents[kept])
    assert np.array_equal(even.handles_px, result.handles_px[kept])
    assert even.distances_px.tolist() == [5, 4, 3.5, 3]
    assert np.array_equal(even.losses, result.losses[kept])
    assert even.best_index == 3 and even.steps == 7


def test_the_last_row_stays_even_if_it_led_away_and_rows_lead_to_it() -> None:
    result = _result([[[0, 0]], [[1, 0]], [[2, 0]]], best_index=1, distances_px=[5, 3, 4])
    even = even_rows(result, 128)  # half a pixel
    assert even.handles_px[:, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2]
    assert np.array_equal(even.latents[[0, 2, 4]], result.latents)
    assert even.best_index == 2


def test_a_best_row_that_is_left_out_leaves_the_nearest_as_the_best() -> None:
    # The second row is the best on average, but its farthest handle is farther than before.
    handles: Handles = [[[0, 0], [0, 0]], [[1, 0], [0, 0]], [[1, 0], [0, 1]]]
    even = even_rows(_result(handles, best_index=1, distances_px=[3, 3.5, 2]), 1000)
    assert even.distances_px.tolist() == [3, 2] and even.best_index == 1


def test_of_two_attempts_the_last_one_is_shown() -> None:
    handles: Handles = [[[0, 0]], [[2, 0]], [[4, 0]], [[0, 0]], [[0, 1]], [[0, 3]], [[5, 0]]]
    result = _result(handles, best_index=6, distances_px=[5, 3, 2, 5, 4, 1, 0.5])
    result.latents[3] = result.latents[0]
    even = even_rows(result, 2000)  # 7.8 px: nothing need be put between
    assert np.array_equal(even.latents, result.latents[[0, 4, 5, 6]])
    assert np.array_equal(even.handles_px, result.handles_px[[0, 4, 5, 6]])
    assert even.best_index == 3


def test_a_first_attempt_that_came_closer_is_shown_without_the_second() -> None:
    # The result ends with the best row, so nothing of the second attempt is in it.
    handles: Handles = [[[0, 0]], [[2, 0]], [[4, 0]]]
    result = _result(handles, best_index=2, distances_px=[5, 3, 2])
    assert len(even_rows(result, 2000).latents) == 3


def test_of_a_drag_that_was_stopped_when_it_began_anew_no_attempt_is_shown() -> None:
    handles: Handles = [[[0, 0]], [[2, 0]], [[4, 0]], [[0, 0]]]
    result = _result(handles, best_index=2, distances_px=[5, 3, 2, 5])
    result.latents[3] = result.latents[0]
    even = even_rows(result, 2000)
    assert np.array_equal(even.latents, result.latents[[0, 3]])
    assert even.distances_px.tolist() == [5, 5] and even.best_index == 0


def test_a_drag_that_ends_where_it_began_has_its_first_and_last_row() -> None:
    result = _result([[[0, 0]], [[1, 0]], [[0, 0]]], best_index=2, distances_px=[5, 5, 5])
    result.latents[2] = result.latents[0]
    assert len(even_rows(result, 2000).latents) == 2
