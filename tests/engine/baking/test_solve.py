# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving edits on the timeline, with a generator whose image motion is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.baking.animated_edit import AnimatedEdit, Refined, Truncation
from engine.baking.row import SolvedRow
from engine.baking.solve import BakeReport, solve
from engine.errors import RequestError
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from engine.solving.result import DragStatus

from ..synthetic import HANDLES, START, ShiftGenerator, as_generator

OPTIONS = DragOptions(latent_space="w+", num_layers=2, max_steps=8)
# How many image pixels of the shifting generator are one pixel of its features.
PX = 2.0


def edit_of(ways_px: list[tuple[float, float]], **changes: Any) -> AnimatedEdit:
    """Return an edit in which all handles of the shifting generator move alike."""
    values: dict[str, Any] = {
        "first_number": 1,
        "latent": START,
        "handles_px": HANDLES,
        "targets_px": HANDLES + np.array(ways_px, dtype=np.float32)[:, None],
        "image_size": (32, 48),
        "options": ((0, OPTIONS),),
    }
    return AnimatedEdit(**{**values, **changes})


def solved(
    edit: AnimatedEdit, known: dict[bytes, SolvedRow] | None = None, **report: Any
) -> list[SolvedRow]:
    """Solve all rows of an edit of the shifting generator."""
    keys = edit.keys("model")
    return solve(as_generator(ShiftGenerator()), edit, keys, known or {}, BakeReport(**report))


def way_of(row: SolvedRow) -> FloatArray:
    """Return how far the image of a row moved, ``(x, y)`` in image pixels."""
    way: FloatArray = PX * 10 * row.latent[:, :2].sum(axis=0)
    return way


CIRCLE = [(4 * np.sin(angle), 4 - 4 * np.cos(angle)) for angle in np.linspace(0, 2 * np.pi, 25)[1:]]


@pytest.fixture(scope="module")
def circle() -> list[SolvedRow]:
    """Return the rows of a round of ``CIRCLE``, which no test may change."""
    # Already here, as in the tests: the last bits depend on the number of threads.
    torch.set_num_threads(1)
    return solved(edit_of(CIRCLE))


def test_what_is_seen_follows_the_targets(circle: list[SolvedRow]) -> None:
    assert [row.status for row in circle] == [DragStatus.REACHED] * len(CIRCLE)
    for row, way in zip(circle, CIRCLE, strict=True):
        assert np.linalg.norm(way_of(row) - way) < 0.5
        assert np.abs(row.handles_px - HANDLES - way).max() < 0.5


def test_it_does_not_drift_in_many_rounds() -> None:
    rows = solved(edit_of(CIRCLE * 5))
    errors = [np.linalg.norm(way_of(r) - w) for r, w in zip(rows, CIRCLE * 5, strict=True)]
    assert np.mean(errors[-24:]) < np.mean(errors[:24]) + 0.1


def test_a_hold_is_still_and_costs_nothing() -> None:
    rows = solved(edit_of([(1.0, 0.0), (2.0, 0.0), (2.0, 0.0), (2.0, 0.0), (3.0, 0.0)]))
    assert [row.steps for row in rows[2:4]] == [0, 0]
    for row in rows[2:4]:
        assert np.array_equal(row.latent, rows[1].latent)
        assert np.array_equal(row.handles_px, rows[1].handles_px)
    assert not np.array_equal(rows[4].latent, rows[3].latent)


def test_a_hold_that_has_not_arrived_goes_on() -> None:
    short = replace(OPTIONS, max_steps=1)
    rows = solved(edit_of([(6.0, 0.0)] * 12, options=((0, short),)))
    distances = [row.distance_px for row in rows]
    assert distances[0] > distances[1] and distances[-1] <= OPTIONS.tolerance_px
    assert rows[0].status is DragStatus.STEP_LIMIT


def test_a_motion_far_below_the_tolerance_is_no_staircase() -> None:
    rows = solved(edit_of([(0.1 * frame, 0.0) for frame in range(1, 21)]))
    ways = np.diff([way_of(row)[0] for row in rows])
    assert (ways > 0.03).all() and (ways < 0.2).all()


def test_a_motion_that_goes_on_hardly_needs_steps() -> None:
    rows = solved(edit_of([(0.6 * frame, 0.0) for frame in range(1, 16)]))
    assert [row.status for row in rows] == [DragStatus.REACHED] * 15
    assert np.mean([row.steps for row in rows[2:]]) < 0.5
    errors = [np.linalg.norm(way_of(row) - [0.6 * (i + 1), 0]) for i, row in enumerate(rows)]
    assert max(errors) < 0.3


@pytest.mark.parametrize("after", [8.0, 9.0, 4.0])
def test_a_motion_that_stops_jumps_or_turns_back_is_followed(after: float) -> None:
    ways = [(float(frame), 0.0) for frame in range(1, 9)] + [(after, 0.5)] * 2
    rows = solved(edit_of(ways))
    for row in rows[-2:]:
        assert np.linalg.norm(way_of(row) - ways[-1]) < 0.5
    assert np.array_equal(rows[-1].latent, rows[-2].latent)


def test_after_a_hold_the_image_moves_with_the_first_moving_frame() -> None:
    rows = solved(edit_of([(0.5, 0.0), (1.0, 0.0)] + [(1.5, 0.0)] * 6 + [(1.6, 0.0)]))
    assert way_of(rows[-1])[0] - way_of(rows[-2])[0] > 0.03


def test_other_inputs_than_targets_are_not_predicted_from() -> None:
    wide = replace(OPTIONS, r1=4.0)
    edit = edit_of([(0.6 * frame, 0.0) for frame in range(1, 9)], options=((0, OPTIONS), (5, wide)))
    assert [edit.is_like_but_for_targets(row) for row in range(8)] == (
        [False] + [True] * 4 + [False] + [True] * 2
    )
    rows = solved(edit)
    # A prediction needs two rows with the new options.
    assert [row.steps >= 1 for row in rows[5:7]] == [True, True]


def test_it_is_stopped_between_frames_without_steps() -> None:
    ways = [(0.6 * frame, 0.0) for frame in range(1, 16)]
    free = next(i for i, row in enumerate(solved(edit_of(ways))) if not row.steps)
    seen: list[int] = []
    rows = solved(
        edit_of(ways),
        on_row=lambda row, solved, is_new: seen.append(row),
        should_stop=lambda: len(seen) == free,
    )
    assert len(rows) == free


def test_a_frame_costs_less_than_a_drag_to_the_same_targets() -> None:
    rows = solved(edit_of([(0.6 * frame, 0.0) for frame in range(1, 16)]))
    targets = HANDLES + np.array([9, 0], dtype=np.float32)
    cold = drag(as_generator(ShiftGenerator()), START, HANDLES, targets, OPTIONS)
    assert np.mean([row.steps for row in rows]) <= 0.5 * cold.steps


def test_any_row_can_be_the_beginning_of_the_rest(circle: list[SolvedRow]) -> None:
    edit = edit_of(CIRCLE)
    keys = edit.keys("model")
    for count in (1, 7, 23):
        again = solved(edit, dict(zip(keys[:count], circle[:count], strict=True)))
        assert all(np.array_equal(a.latent, b.latent) for a, b in zip(again, circle, strict=True))


def test_a_changed_frame_has_another_key_and_so_have_those_after_it() -> None:
    ways = [(0.5 * frame, 0.0) for frame in range(6)]
    before = edit_of(ways).keys("model")
    ways[3] = (0.0, 1.0)
    after = edit_of(ways).keys("model")
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"first_number": 2},
        {"latent": START + 1},
        {"handles_px": HANDLES + 1},
        {"options": ((0, replace(OPTIONS, r1=2.0)),)},
        {"mask_rows": ((0, 0),), "masks": (np.zeros((48, 32), np.uint8),)},
        {"truncation": Truncation(psi=(0.5,), sampled_psi=0.7, direction=START + 1)},
        {"moves": START[None] * 0.5},
        {"refined": Refined(latents=START[None], handles_px=HANDLES[None])},
    ],
)
def test_everything_that_a_frame_depends_on_is_in_its_key(changes: dict[str, Any]) -> None:
    targets = HANDLES[None]
    plain = edit_of([(0.0, 0.0)], targets_px=targets).keys("model")
    assert edit_of([(0.0, 0.0)], targets_px=targets, **changes).keys("model") != plain
    assert edit_of([(0.0, 0.0)], targets_px=targets).keys("another model") != plain


@pytest.mark.parametrize("changes", [{"poses": (1, 3)}, {"smoothing": 2.0}])
def test_what_is_done_after_solving_is_not_in_a_key(changes: dict[str, Any]) -> None:
    assert edit_of(CIRCLE, **changes).keys("model") == edit_of(CIRCLE).keys("model")


def test_options_hold_from_their_row_on() -> None:
    loose = replace(OPTIONS, tolerance_px=5.0)
    edit = edit_of([(1.0, 0.0)] * 5, options=((0, OPTIONS), (3, loose)))
    found = [edit.inputs(row).options for row in range(5)]
    assert found == [OPTIONS] * 3 + [loose] * 2
    assert [edit.is_like_before(row) for row in range(5)] == [False, True, True, False, True]


def test_masks_hold_from_their_row_on() -> None:
    masks = tuple(np.full((48, 32), value, np.uint8) for value in (255, 0))
    edit = edit_of([(1.0, 0.0)] * 5, masks=masks, mask_rows=((1, 1), (3, -1)))
    found = [edit.inputs(row).mask for row in range(5)]
    assert found[0] is None and found[3] is None and found[4] is None
    assert found[1] is masks[1] and found[2] is masks[1]
    assert [edit.is_like_before(row) for row in range(5)] == [False, False, True, False, True]


def test_a_mask_that_there_is_not_is_refused() -> None:
    with pytest.raises(RequestError, match="uses mask 2, but has 1"):
        edit_of(CIRCLE, masks=(np.zeros((48, 32), np.uint8),), mask_rows=((0, 2),))


def test_an_animated_truncation_moves_the_image_and_the_handles_are_followed() -> None:
    direction = np.zeros_like(START)
    direction[0, 0] = 1.0  # one unit of psi moves the image by 20 px
    psi = tuple(0.7 + 0.02 * frame for frame in range(10))
    truncation = Truncation(psi=psi, sampled_psi=0.7, direction=direction)
    rows = solved(edit_of([(0.0, 0.0)] * 10, truncation=truncation))
    for row in rows:
        assert np.linalg.norm(way_of(row)) < 0.5
        assert np.abs(row.handles_px - HANDLES).max() < 0.5


def test_a_truncation_at_rest_changes_nothing(circle: list[SolvedRow]) -> None:
    truncation = Truncation(psi=(0.7,) * len(CIRCLE), sampled_psi=0.7, direction=START + 1)
    still = solved(edit_of(CIRCLE, truncation=truncation))
    assert all(np.array_equal(a.latent, b.latent) for a, b in zip(circle, still, strict=True))


def test_animated_sliders_move_the_image_and_the_handles_are_followed(
    circle: list[SolvedRow],
) -> None:
    moves = np.zeros((10, *START.shape), np.float32)
    moves[:, 0, 0] = [0.02 * frame for frame in range(10)]  # 20 px of the image for each 1.0
    rows = solved(edit_of([(0.0, 0.0)] * 10, moves=moves))
    for row in rows:
        assert np.linalg.norm(way_of(row)) < 0.5
    still = solved(edit_of(CIRCLE, moves=np.zeros((len(CIRCLE), *START.shape), np.float32)))
    assert all(np.array_equal(a.latent, b.latent) for a, b in zip(circle, still, strict=True))


def test_refining_goes_on_from_each_row_by_itself() -> None:
    short = replace(OPTIONS, max_steps=1)
    ways = [(5.0, 0.0), (9.0, 0.0), (9.0, 4.0)]
    rough = solved(edit_of(ways, options=((0, short),)))
    refined = Refined(
        latents=np.stack([row.latent for row in rough]),
        handles_px=np.stack([row.handles_px for row in rough]),
    )
    rows = solved(edit_of(ways, refined=refined))
    assert max(row.distance_px for row in rows) < 0.5 < max(row.distance_px for row in rough)
    changed = refined.latents.copy()
    changed[0] += 1
    other = edit_of(ways, refined=replace(refined, latents=changed)).keys("model")
    same = edit_of(ways, refined=refined).keys("model")
    assert [a == b for a, b in zip(other, same, strict=True)] == [False, True, True]


def test_a_track_of_other_length_cannot_be_refined() -> None:
    with pytest.raises(RequestError, match="has 1 rows, but the edit has 24 frames"):
        edit_of(CIRCLE, refined=Refined(latents=START[None], handles_px=HANDLES[None]))


def test_it_ends_with_the_last_whole_frame_when_it_is_stopped() -> None:
    seen: list[int] = []
    rows = solved(
        edit_of(CIRCLE),
        on_row=lambda row, solved, is_new: seen.append(row),
        should_stop=lambda: len(seen) == 3,
    )
    assert len(rows) == 3 and seen == [0, 1, 2]


def test_each_row_and_each_step_is_reported() -> None:
    steps: list[tuple[int, int]] = []
    news: list[bool] = []
    edit = edit_of(CIRCLE[:3])
    rows = solved(edit)
    known = {edit.keys("model")[0]: rows[0]}
    solved(
        edit,
        known,
        on_step=lambda row, step: steps.append((row, step.step)),
        on_row=lambda row, solved, is_new: news.append(is_new),
    )
    assert news == [False, True, True]
    assert {row for row, _ in steps} == {1, 2} and (1, 1) in steps


def test_a_target_outside_the_image_is_named_with_its_frame() -> None:
    with pytest.raises(RequestError, match=r"target 1 is at \(50\.0, 20\.0\) in frame 2, outside"):
        edit_of([(0.0, 0.0), (40.0, 0.0)])
