# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving an edit that lives on the timeline: a chain of drags, each from where the last has ended.

All that a frame needs of the frames before it are their rows, a few of them: the latent, and where
the handles are in its image.  A bake can therefore go on, or begin anew, after any row.

A frame with the same inputs as the one before is the same, to the bit, if there was nothing left to
do: holds are still.  Any other frame moves, however little its targets have moved, so that a slow
motion is no staircase: it begins where the frames before point to (`prediction`), and needs a step
only where that is not near enough to its targets.  Without a prediction it makes at least one.

Where the handles are after a frame is not what its drag believes, but what `anchor` finds: it is
from there that the next one goes on.

What takes back, in each step, changes that no handle needs, counts from the latent of the image
without the edit and not from the frame before: a bake forgets which way it has come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from stylegan2 import Generator

from ..arrays import FloatArray
from ..solving.drag import drag, tolerance_of
from ..solving.options import DragOptions
from ..solving.result import DragResult, DragStatus, DragStep
from .anchor import Anchor
from .animated_edit import AnimatedEdit, FrameInputs
from .prediction import ROWS, predict
from .row import SolvedRow

_DONE = (DragStatus.REACHED, DragStatus.STALLED)
"""How a frame ends that another drag from there would not bring any further."""
_ENOUGH = 0.6
"""The part of the tolerance within which a frame may end whose handles were at their targets in the
frame before: a slow motion takes one step a frame then."""
_NEAR = 0.15
"""The part of the tolerance within which a prediction needs no step: about what a step leaves, so
that the frames without one are not those that are farther off."""


@dataclass(frozen=True, kw_only=True)
class BakeReport:
    """What is told of a running bake; each may be None.

    Attributes:
        on_step: called with a row's number and each step of its drag; what it raises ends the bake.
        on_row: called with a row's number, its result, and whether it was solved and not taken
            over; likewise.
        should_stop: asked once a step; True ends the bake with the rows that are complete.
    """

    on_step: Callable[[int, DragStep], None] | None = None
    on_row: Callable[[int, SolvedRow, bool], None] | None = None
    should_stop: Callable[[], bool] | None = None


def solve(
    generator: Generator,
    edit: AnimatedEdit,
    keys: list[bytes],
    known: Mapping[bytes, SolvedRow],
    report: BakeReport,
) -> list[SolvedRow]:
    """Solve the rows of an edit, or as many as there are keys.

    Args:
        keys: of the rows to solve, from row 0 on; see `AnimatedEdit.keys`.
        known: rows that are taken over, by their keys.

    Returns:
        One row for each key, or fewer if it was stopped.

    Raises:
        RequestError: the edit does not fit the generator.
    """
    solver = _Solver(generator, edit, report)
    rows: list[SolvedRow] = []
    for row, key in enumerate(keys):
        taken = known.get(key)
        solved = taken or solver.solve(row, rows)
        if solved is None:
            break
        rows.append(solved)
        if report.on_row is not None:
            report.on_row(row, solved, taken is None)
    return rows


class _Solver:
    """Solves one row after the other; holds nothing that the rows depend on but the edit."""

    def __init__(self, generator: Generator, edit: AnimatedEdit, report: BakeReport) -> None:
        self._generator = generator
        self._edit = edit
        self._report = report
        self._anchors: dict[DragOptions, Anchor] = {}

    def solve(self, row: int, rows: list[SolvedRow]) -> SolvedRow | None:
        """Solve a row from those before it; None if it was stopped."""
        edit = self._edit
        before = rows[-1] if rows else None
        if before is not None and before.status in _DONE and edit.is_like_before(row):
            return replace(before, steps=0)
        inputs = edit.inputs(row)
        predicted = self._predicted(row, inputs, rows)
        if predicted is not None and predicted.distance_px <= _NEAR * _tolerance(inputs):
            return None if self._is_stopped() else predicted
        latent, handles_px = self._start(row, inputs, predicted or before)
        # What the last row has left, this one makes up for: to settle each would be in vain.
        has_arrived = before is not None and before.status is DragStatus.REACHED
        enough = _ENOUGH if has_arrived and edit.refined is None else 0.0
        first = self._round(row, inputs, latent, handles_px, enough)
        if first is None or not self._may_go_on(first, before):
            return first
        second = self._round(row, inputs, first.latent, first.handles_px, 0.0)
        if second is None:
            return None
        better = second if second.distance_px < first.distance_px else first
        return replace(better, steps=first.steps + second.steps)

    def _predicted(self, row: int, inputs: FrameInputs, rows: list[SolvedRow]) -> SolvedRow | None:
        """A row that goes on as those before it have gone; None if that leads no nearer."""
        recent = self._recent(row, rows)
        if len(recent) < 2:
            return None
        before = rows[-1]
        latent, believed_px = predict(recent, inputs.targets_px)
        handles_px = self._anchor(inputs.options).find(latent, believed_px)
        distance_px = _farthest(handles_px, inputs)
        if distance_px >= _farthest(before.handles_px, inputs):
            return None
        # The loss stays that of the last step that was made.
        return replace(
            before, latent=latent, handles_px=handles_px, distance_px=distance_px, steps=0
        )

    def _recent(self, row: int, rows: list[SolvedRow]) -> list[SolvedRow]:
        """The last rows before one by which it can be predicted, each different from the next.

        Only what the targets alone have moved, and where they were met, tells how the image moves
        with the targets.
        """
        edit = self._edit
        recent: list[SolvedRow] = []
        while row and len(recent) < ROWS and edit.refined is None:
            earlier = rows[row - 1]
            if earlier.status is not DragStatus.REACHED or not edit.is_like_but_for_targets(row):
                break
            if not recent or not np.array_equal(earlier.latent, recent[0].latent):
                recent.insert(0, earlier)
            row -= 1
        return recent

    def _may_go_on(self, first: SolvedRow, before: SolvedRow | None) -> bool:
        """Whether a row may take a second drag.

        It helps if the handles turn out to be elsewhere than the first believed; not after a row
        that could not be helped by that.
        """
        is_hopeless = before is not None and before.status is DragStatus.STALLED
        if is_hopeless and self._edit.refined is None:
            return False
        return first.status is DragStatus.STALLED

    def _round(
        self,
        row: int,
        inputs: FrameInputs,
        latent: FloatArray,
        handles_px: FloatArray,
        enough: float,
    ) -> SolvedRow | None:
        """One drag of a row, to within a part of the tolerance; None if it was stopped."""
        result = self._drag(row, inputs, latent, handles_px, enough)
        if result.status is DragStatus.STOPPED:
            return None
        latent = result.latents[-1]
        handles_px = self._anchor(inputs.options).find(latent, result.handles_px[-1])
        distance_px = _farthest(handles_px, inputs)
        status = result.status
        if distance_px <= _tolerance(inputs):
            status = DragStatus.REACHED
        elif status is DragStatus.REACHED:
            status = DragStatus.STALLED
        return SolvedRow(
            latent=latent,
            handles_px=handles_px,
            distance_px=distance_px,
            loss=float(result.losses[-1]),
            steps=result.steps,
            status=status,
        )

    def _start(
        self, row: int, inputs: FrameInputs, before: SolvedRow | None
    ) -> tuple[FloatArray, FloatArray]:
        """The latent that a row is solved from, and where the handles are in its image."""
        edit = self._edit
        if edit.refined is not None:
            return edit.refined.latents[row], edit.refined.handles_px[row]
        if before is None:
            previous, latent, handles_px = edit.latent, edit.latent, edit.handles_px
        else:
            previous = edit.inputs(row - 1).base
            latent, handles_px = before.latent, before.handles_px
        if np.array_equal(previous, inputs.base):
            return latent, handles_px
        changed = latent + (inputs.base - previous)
        return changed, self._anchor(inputs.options).find(changed, handles_px)

    def _is_stopped(self) -> bool:
        return self._report.should_stop is not None and self._report.should_stop()

    def _anchor(self, options: DragOptions) -> Anchor:
        if options not in self._anchors:
            anchor = Anchor(self._generator, self._edit.latent, self._edit.handles_px, options)
            # Only the last: of options that change in each frame, none comes again.
            self._anchors = {options: anchor}
        return self._anchors[options]

    def _drag(
        self,
        row: int,
        inputs: FrameInputs,
        latent: FloatArray,
        handles_px: FloatArray,
        enough: float,
    ) -> DragResult:
        report = self._report

        def on_step(step: DragStep) -> None:
            if report.on_step is not None:
                report.on_step(row, step)

        return drag(
            self._generator,
            latent,
            handles_px,
            inputs.targets_px,
            inputs.options,
            mask=inputs.mask,
            origin=None if np.array_equal(latent, inputs.base) else inputs.base,
            least_steps=1,
            enough_px=enough * _tolerance(inputs),
            on_step=on_step,
            should_stop=report.should_stop,
        )


def _tolerance(inputs: FrameInputs) -> float:
    """How near to its target each handle of a frame has arrived, image pixels."""
    return tolerance_of(inputs.options, len(inputs.targets_px))


def _farthest(handles_px: FloatArray, inputs: FrameInputs) -> float:
    """The farthest handle's distance to its target, image pixels."""
    return float(np.linalg.norm(handles_px - inputs.targets_px, axis=1).max())
