# SPDX-License-Identifier: GPL-3.0-or-later
"""A pose is dragged in two ways, and the one is kept whose handles look more like themselves.

Handles far apart mean a pose, and are dragged along what is typical of the model (``freedom``). Now
and then this arrives with something else at the targets, where a more local way would not have.
Nothing tells that beforehand, and little does afterwards: both ways say that they have arrived. But
of two that have, the one whose handles have changed less is nearer to the truth in most cases; see
docs/methods.md.

The second way is made when the first has ended, and is not shown while it is made: a person sees
the handles arrive, and then at most a slightly other image. It is left as soon as the points move.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from draggan_blender.protocol.settings import DEFAULTS

from .freedom import SURE, is_pose
from .loop import MANY_HANDLES, Loop
from .options import DragOptions
from .picture import Paths
from .points import LiveChanges, LivePoints
from .result import DragResult, DragStatus
from .stopping import StoppedError


def has_two_ways(points: LivePoints, options: DragOptions, image_px: int) -> bool:
    """Return whether a drag of a whole image, from its start, has a second way.

    A drag of many handles has none: hardly any local change moves them all.

    Args:
        points: Its points.
        options: Its options.
        image_px: The longer side of the image, pixels.
    """
    is_usual = options.method == "linearised" and options.latent_space == DEFAULTS["latent_space"]
    if not is_usual or points.has_regions or not 1 < len(points.keys) <= MANY_HANDLES:
        return False
    homes, targets = (
        torch.from_numpy(np.asarray(places, np.float32))
        for places in (points.handles_px, points.targets_px)
    )
    none = homes.new_zeros(len(homes))
    paths = Paths(homes_px=homes, targets_px=targets, radii_px=none, rims_px=none)
    return is_pose(paths, image_px)


def local_way(options: DragOptions) -> DragOptions:
    """Return the options of the second way: those of a drag of a part."""
    return replace(options, latent_space="by_hand", freedom=SURE)


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
        max_steps: int,
    ) -> None:
        """Compute nothing yet.

        Args:
            first: The loop of the first way.
            second: Returns that of the second.
            changes: Where other points come from; None if the points stay.
            should_stop: Returns whether the drag is to end.
            max_steps: The largest number of steps of each way; 0 for any number.
        """
        self._first = first
        self._make_second = second
        self._second: Loop | None = None
        self._ended: tuple[DragStatus, str] | None = None
        self._changes = changes
        self._should_stop = should_stop
        self._max_steps = max_steps

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

    def result(self, status: DragStatus, reason: str, started: float) -> DragResult:
        """Return the result of the better way; the arguments are those of ``Loop.result``."""
        first, second = self._first, self._second
        kept = first.result(status, reason, started)
        if second is None or not second.record.losses:
            return kept
        # With other points, the first has gone on after the second.
        if self._ended is not None and not first.record.first:
            other = second.result(*self._ended, started)
            if self._is_better(other, second, kept):
                kept = other
        # The start of each way was made by no step.
        steps = len(first.record.losses) + len(second.record.losses) - 2
        return replace(kept, steps=steps)

    def _is_due(self) -> bool:
        """Return whether the first way has ended by itself, with the points that it began with."""
        record = self._first.record
        is_stopped = self._should_stop is not None and self._should_stop()
        at_limit = self._max_steps and record.latest_steps >= self._max_steps
        return not (self._second or self.is_open or record.first or is_stopped or at_limit)

    def _is_better(self, other: DragResult, second: Loop, result: DragResult) -> bool:
        """Return whether the result of the second way is better than that of the first."""
        if result.status is DragStatus.STOPPED or other.status is not DragStatus.REACHED:
            return False
        if result.status is not DragStatus.REACHED:
            return True
        with contextlib.suppress(StoppedError):
            return second.how_unlike(other.status) < self._first.how_unlike(result.status)
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
