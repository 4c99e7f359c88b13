# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of a drag after its last step: the row that it ends with, and what is said of it.

The loop says why there are no more steps. That is not the last word: the picture may have come
apart on the way, a method without a tracker knows only where its search points are, and what was
tracked may not be what the handles were placed on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stylegan2 import Generator

from ..features.source import FeatureGrid
from .freedom import SPACES_WITH_FREEDOM
from .ground import Ground
from .lost import find_again, find_lost, lost_sentence
from .manifold import last_whole
from .methods import UNTRACKED
from .options import DragOptions
from .pair_points import PairPoints
from .regions import Regions
from .result import DragResult, DragStatus, Record
from .stopping import StoppedError, leave_after, leave_if
from .under_mask import Held

# How long a drag that was stopped may still search for lost handles, seconds.
_JUDGED_WITHIN_S = 0.4


@dataclass(frozen=True, kw_only=True)
class EndedDrag:
    """A drag that makes no more steps.

    Attributes:
        generator: Frozen, on the device to compute on.
        options: The options of the drag.
        record: Its rows.
        tolerance_px: The distance at which a handle has arrived, image pixels.
        grid: The sizes of the image and of the feature map.
        pairs: Its pairs, and their points.
        regions: The regions that the points belong to; None if all pairs are plain.
        ground: The picture that it has changed.
        held: The pairs that a mask holds.
        judged: Whether to look for torn pictures and lost handles; see ``drag.drag``. Otherwise
            the loop and the method are believed.
        should_stop: Returns whether to end the search; None for never.
    """

    generator: Generator
    options: DragOptions
    record: Record
    tolerance_px: float
    grid: FeatureGrid
    pairs: PairPoints
    regions: Regions | None
    ground: Ground
    held: Held
    judged: bool
    should_stop: Callable[[], bool] | None


def result_of(ended: EndedDrag, status: DragStatus, reason: str) -> DragResult:
    """Return the result of a drag, without its duration.

    Args:
        ended: The drag.
        status: How it ended according to the loop.
        reason: Why, a sentence for the user.
    """
    record, tolerance_px = ended.record, ended.tolerance_px
    last = record.last_index(status, tolerance_px)
    row = last if status is DragStatus.STOPPED else _last_whole(ended, last)
    is_beyond = row < last and record.farthest_px[row] > tolerance_px
    if is_beyond:
        status = DragStatus.STALLED
        reason = f"after step {row} the picture would come apart: {record.at_end(row)}"
    result = record.result(status, reason, 0.0, tolerance_px, row)
    if status is DragStatus.REACHED and ended.options.method in UNTRACKED:
        result = _as_seen(ended, result)
        status, reason = result.status, result.reason
    if ended.held.is_all and status is DragStatus.REACHED:
        status, reason = DragStatus.STALLED, ended.held.sentence
    lost = _lost(ended, row, is_stopped=status is DragStatus.STOPPED)
    if any(lost):
        if status in (DragStatus.REACHED, DragStatus.STALLED):
            status, reason = DragStatus.LOST, lost_sentence(lost)
        else:
            reason = f"{reason}; {lost_sentence(lost)}"
    return replace(
        result,
        status=status,
        reason=reason,
        flat=record.flat,
        lost=lost,
        held=ended.held.pairs,
        is_beyond=is_beyond or result.is_beyond,
    )


def _last_whole(ended: EndedDrag, row: int) -> int:
    """Return the last row up to one whose picture has not come apart.

    A person who changes points while the drag runs sees each row, and none is taken back.
    """
    options = ended.options
    is_asked = (
        ended.judged
        and options.method == "linearised"
        and options.latent_space in SPACES_WITH_FREEDOM
        and not ended.record.first
        and not ended.ground.is_masked
    )
    if not is_asked:
        return row
    with contextlib.suppress(StoppedError):
        edited = ended.record.edited[: row + 1]
        return last_whole(ended.generator, edited, leave_if(ended.should_stop))
    return row


def _as_seen(ended: EndedDrag, result: DragResult) -> DragResult:
    """Return a result of search points that are at their targets, judged by what is there.

    Whoever stops it meanwhile gets the result as the search points have it.
    """
    if not ended.judged or ended.regions is not None:
        return result
    try:
        places_px = find_again(
            ended.generator,
            ended.options,
            ended.grid,
            ended.pairs.known,
            result.handles_px[-1],
            ended.record.latent(len(result.latents) - 1),
            ended.ground.canvas,
            leave_if(ended.should_stop),
        )
    except StoppedError:
        return result
    distance_px = float(np.linalg.norm(places_px - result.targets_px, axis=1).max())
    handles_px, distances_px = result.handles_px.copy(), result.distances_px.copy()
    handles_px[-1], distances_px[-1] = places_px, distance_px
    seen = replace(result, handles_px=handles_px, distances_px=distances_px)
    if distance_px <= ended.tolerance_px:
        return seen
    reason = (
        "the search points are at their targets, but what was under the handles is seen up to "
        f"{distance_px:.1f} px away from them"
    )
    return replace(seen, status=DragStatus.STALLED, reason=reason)


def _lost(ended: EndedDrag, row: int, *, is_stopped: bool) -> tuple[bool, ...]:
    """Return for each pair whether it was lost on the way to a row.

    Whoever stops a drag does not wait long for this: then no pair counts as lost.
    """
    known, points_px = ended.pairs.known, ended.record.points_px[row]
    nobody = (False,) * len(known)
    if not ended.judged or len(points_px) != len(ended.pairs.keys):
        return nobody
    with contextlib.suppress(StoppedError):
        return find_lost(
            ended.generator,
            ended.options,
            ended.grid,
            known,
            ended.regions,
            points_px,
            ended.record.latent(row),
            ended.ground.canvas,
            leave_after(_JUDGED_WITHIN_S) if is_stopped else leave_if(ended.should_stop),
        )
    return nobody
