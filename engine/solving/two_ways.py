# SPDX-License-Identifier: GPL-3.0-or-later
"""Some drags are made in two ways, and the better end is kept.

*A pose.* Handles far apart are dragged along what is typical of the model (``freedom``). Now and
then this arrives with something else at the targets, where a more local way would not have. Nothing
tells that beforehand, and little does afterwards: both ways say that they have arrived. But of two
that have, the one whose handles have changed less is nearer to the truth in most cases. So both are
made.

*A handle that was lost.* One handle means a part, and is dragged in a local way. If what was under
it is lost, a more typical way often is not, and is made as well.

*Many handles.* What is typical of the model often does not bring all of many handles to their
targets. A little more freedom does, and is tried if that was so.

*A part under an exact mask.* What is pulled keeps its looks (``methods.looks``), and so may stop
before its target. If it was not reached, the looks count less on the last part of the way, and an
end at which it has not been painted over is kept.

See docs/methods.md. The second way is made when the first has ended, and is not shown meanwhile: a
person sees the handles arrive, and then at most another image. It is left as soon as points move.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from draggan_blender.protocol.settings import DEFAULTS

from .freedom import COMMON, SURE, is_pose
from .loop import MANY_HANDLES, Loop
from .methods.looks import FADE
from .options import DragOptions
from .picture import Paths
from .points import LiveChanges, LivePoints
from .result import DragResult, DragStatus
from .stopping import StoppedError

# The freedom of the second way of many handles.
_FOR_MANY = 0.3
# The fade of the looks in the second way under a mask, and how much they may then have changed; see
# ``methods.looks`` and ``lost.Change``. Most of those that arrive take fewer steps than the last
# number, and nobody sees how far it is.
_LONG_FADE, _PAINTED_OVER, _MOST_STEPS = 4.0, 1.3, 20


@dataclass(frozen=True)
class SecondWay:
    """The second way of a drag.

    Attributes:
        freedom: How free it is; None if as free as the first.
        after: How the first has ended if the second is made.
        looks_fade: See ``methods.looks.weights_of_looks``.
        max_steps: The largest number of its steps; 0 for that of the drag.
        most_changed: How much the looks of its handles may have changed at the end of one that is
            kept where the first has not reached its targets.
    """

    freedom: float | None
    after: frozenset[DragStatus]
    looks_fade: float = FADE
    max_steps: int = 0
    most_changed: float = math.inf

    def options(self, options: DragOptions) -> DragOptions:
        """Return its options, from those of the drag."""
        if self.max_steps:
            most = min(options.max_steps or self.max_steps, self.max_steps)
            options = replace(options, max_steps=most)
        if self.freedom is None:
            return options
        return replace(options, latent_space="by_hand", freedom=self.freedom)


_LOST = frozenset({DragStatus.LOST})
_MISSED = frozenset({DragStatus.STALLED, DragStatus.LOST})
_ANY = frozenset({DragStatus.REACHED, *_MISSED})


def second_way(
    points: LivePoints, options: DragOptions, image_px: int, *, is_part: bool = False
) -> SecondWay | None:
    """Return the second way of a drag from the start of an edit, or None.

    Args:
        points: The points of the drag.
        options: Its options.
        image_px: The longer side of the image, pixels.
        is_part: Whether an exact mask holds a part of the image.
    """
    is_usual = options.method == "linearised" and options.latent_space == DEFAULTS["latent_space"]
    if not is_usual or points.has_regions:
        return None
    if is_part:
        return SecondWay(
            None,
            _MISSED,
            looks_fade=_LONG_FADE,
            max_steps=_MOST_STEPS,
            most_changed=_PAINTED_OVER,
        )
    if len(points.keys) == 1:
        return SecondWay(COMMON, _LOST)
    homes, targets = (
        torch.from_numpy(np.asarray(places, np.float32))
        for places in (points.handles_px, points.targets_px)
    )
    none = homes.new_zeros(len(homes))
    paths = Paths(homes_px=homes, targets_px=targets, radii_px=none, rims_px=none)
    if not is_pose(paths, image_px):
        return None
    if len(points.keys) > MANY_HANDLES:
        return SecondWay(_FOR_MANY, _MISSED)
    return SecondWay(SURE, _ANY)


class TwoWays:
    """Makes the second way of a drag when the first has ended.

    For the loop of the first it is the source of other points (``points.LiveChanges``): it asks
    before it ends.
    """

    def __init__(
        self,
        first: Loop,
        second: Callable[[], Loop],
        changes: LiveChanges | None,
        should_stop: Callable[[], bool] | None,
        started: float,
        way: SecondWay,
    ) -> None:
        """Compute nothing yet.

        Args:
            first: The loop of the first way.
            second: Returns that of the second.
            changes: Where other points come from; None if the points stay.
            should_stop: Returns whether the drag is to end.
            started: When it began, a time of ``time.monotonic``.
            way: What the second way is.
        """
        self._first = first
        self._make_second = second
        self._started = started
        self._way = way
        # The result of the first way with the points that the drag began with, once it is known.
        self._known: DragResult | None = None
        self._second: Loop | None = None
        self._ended: tuple[DragStatus, str] | None = None
        self._changes = changes
        self._should_stop = should_stop

    @property
    def is_open(self) -> bool:
        """Whether the drag waits when it cannot come closer to its targets."""
        return self._changes is not None and self._changes.is_open

    def take(self, resting: Tensor | None) -> LivePoints | None:
        """Return other points, after the second way if the first has ended; see ``LiveChanges``."""
        if resting is not None and self._is_due():
            self._second = self._make_second()
            try:
                self._ended = self._second.run(None, _Watched(self._changes))
            except _MovedError as moved:
                return moved.points
        return None if self._changes is None else self._changes.take(resting)

    def result(self, status: DragStatus, reason: str) -> DragResult:
        """Return the result of the better way; the arguments are how the first has ended."""
        first, second = self._first, self._second
        has_other_points = bool(first.record.first)
        if self._known is not None and not has_other_points:
            kept = self._known
        else:
            kept = first.result(status, reason, self._started)
        steps = kept.steps
        if second is not None and second.record.losses:
            # The start of the second way was made by no step.
            steps += len(second.record.losses) - 1
            # With other points, the first has gone on after the second.
            if self._ended is not None and not has_other_points:
                other = second.result(*self._ended, self._started)
                kept = other if self._is_better(other, second, kept) else kept
        return replace(kept, steps=steps, seconds=time.monotonic() - self._started)

    def _is_due(self) -> bool:
        """Return whether the first way has ended by itself, with the points that it began with."""
        first, ending = self._first, self._first.ending
        is_stopped = self._should_stop is not None and self._should_stop()
        if self._second or self.is_open or first.record.first or is_stopped or ending is None:
            return False
        if ending[0] not in _ANY:
            return False
        if self._way.after == _ANY:
            return True
        self._known = first.result(*ending, self._started)
        return self._known.status in self._way.after

    def _is_better(self, other: DragResult, second: Loop, result: DragResult) -> bool:
        """Return whether the result of the second way is better than that of the first."""
        if result.status is DragStatus.STOPPED or other.status is not DragStatus.REACHED:
            return False
        with contextlib.suppress(StoppedError):
            if result.status is not DragStatus.REACHED:
                most = self._way.most_changed
                return math.isinf(most) or second.change(other.status).looks <= most
            theirs = self._first.change(result.status).unlike
            return second.change(other.status).unlike < theirs
        return False


class _MovedError(Exception):
    """Other points have arrived.

    Attributes:
        points: These points.
    """

    def __init__(self, points: LivePoints) -> None:
        super().__init__()
        self.points = points


class _Watched:
    """Ends the second way when other points arrive, and pauses it with the drag."""

    is_open = False

    def __init__(self, changes: LiveChanges | None) -> None:
        self._changes = changes

    def take(self, resting: Tensor | None) -> None:
        """Return no points; raise if there are some."""
        del resting
        points = None if self._changes is None else self._changes.take(None)
        if points is not None:
            raise _MovedError(points)
