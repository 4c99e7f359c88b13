# SPDX-License-Identifier: GPL-3.0-or-later
"""Solves an edit on the timeline: a chain of drags, each of which starts where the last ended.

A frame needs only a few rows before it, each with a latent and the positions of the handles in its
image. A bake can therefore continue after any row.

A frame with the same inputs as the one before it is equal to it, to the bit, if the frame before
had nothing left to do: holds are still. Any other frame moves, however little its targets moved, so
that a slow motion has no stairs. It starts at the latent that ``baking.prediction`` gives, and
needs steps only if the handles are not near enough to their targets there. Without a prediction it
makes at least one step.

The positions of the handles after a frame are not those that its drag tracked, but those that
``solving.anchor`` finds. The next frame starts from them.

Each step of a drag takes back changes that no handle needs. In a bake these are changes from the
latent of the image without the edit, not from the frame before, so that the result does not depend
on the path that the motion took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from stylegan2 import Generator

from ..arrays import FloatArray
from ..solving.anchor import Anchor
from ..solving.drag import drag, tolerance_of
from ..solving.options import DragOptions
from ..solving.result import DragResult, DragStatus, DragStep
from .animated_edit import AnimatedEdit, FrameInputs
from .prediction import ROWS, predict
from .row import SolvedRow

# The statuses of a frame after which another drag from there would make no progress.
_DONE = (DragStatus.REACHED, DragStatus.STALLED)
# A frame may end within this part of the tolerance if the handles were at their targets in the
# frame before: a slow motion then takes one step per frame.
_ENOUGH = 0.6
# A prediction needs no step if it is within this part of the tolerance. It is about the distance
# that a step leaves, so that frames without a step are not farther off than the others.
_NEAR = 0.15


@dataclass(frozen=True, kw_only=True)
class BakeReport:
    """The callbacks of a running bake; each may be None.

    Attributes:
        on_step: Called with the row and each step of its drag. An exception from it ends the bake.
        on_row: Called with the row, its result, and whether it was solved and not reused. An
            exception from it ends the bake.
        should_stop: Called once per step; True ends the bake with the rows that are complete.
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
    """Solve the first rows of an edit.

    Args:
        generator: The model of the edit.
        edit: The edit.
        keys: The keys of the rows to solve, from row 0 on; see ``AnimatedEdit.keys``.
        known: Rows that are reused, by their keys.
        report: The callbacks.

    Returns:
        One row for each key, or fewer if the bake was stopped.

    Raises:
        RequestError: The edit does not fit the generator.
    """
    solver = _Solver(generator, edit, report)
    rows: list[SolvedRow] = []
    for row, key in enumerate(keys):
        reused = known.get(key)
        solved = reused or solver.solve(row, rows)
        if solved is None:
            break
        rows.append(solved)
        if report.on_row is not None:
            report.on_row(row, solved, reused is None)
    return rows


class _Solver:
    """Solves one row after the other; apart from the edit it has no state that rows depend on."""

    def __init__(self, generator: Generator, edit: AnimatedEdit, report: BakeReport) -> None:
        self._generator = generator
        self._edit = edit
        self._report = report
        self._anchors: dict[DragOptions, Anchor] = {}

    def solve(self, row: int, rows: list[SolvedRow]) -> SolvedRow | None:
        """Solve a row from those before it; return None if the bake was stopped."""
        edit = self._edit
        before = rows[-1] if rows else None
        if before is not None and before.status in _DONE and edit.is_like_before(row):
            return replace(before, steps=0)
        inputs = edit.inputs(row)
        predicted = self._predicted(row, inputs, rows)
        if predicted is not None and predicted.distance_px <= _NEAR * _tolerance(inputs):
            return None if self._is_stopped() else predicted
        latent, handles_px = self._start(row, inputs, predicted or before)
        # The next row corrects the distance that this one leaves: settling each is not worth it.
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
        """Return the predicted row; None if it is not nearer to the targets than the last row."""
        recent = self._recent(row, rows)
        if len(recent) < 2:
            return None
        before = rows[-1]
        latent, believed_px = predict(recent, inputs.targets_px)
        handles_px = self._anchor(inputs.options).find(latent, believed_px)
        distance_px = _farthest(handles_px, inputs)
        if distance_px >= _farthest(before.handles_px, inputs):
            return None
        # The loss remains that of the last step that was made.
        return replace(
            before, latent=latent, handles_px=handles_px, distance_px=distance_px, steps=0
        )

    def _recent(self, row: int, rows: list[SolvedRow]) -> list[SolvedRow]:
        """Return the rows that can predict a row, oldest first, each different from the next.

        Rows show how the image moves with the targets only if nothing but the targets changed, and
        if the handles reached them.
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
        """Return whether a row gets a second drag.

        It helps if the handles are not where the first drag tracked them. It is not tried right
        after a row that stalled as well.
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
        """Drag once, to within ``enough`` times the tolerance; return None if it was stopped."""
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
        """Return the latent to solve a row from, and where the handles are in its image."""
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
            # Keep only the last: options that are animated change with each frame.
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
    """Return the distance within which a handle has reached its target, image pixels."""
    return tolerance_of(inputs.options, len(inputs.targets_px))


def _farthest(handles_px: FloatArray, inputs: FrameInputs) -> float:
    """Return the farthest handle's distance to its target, image pixels."""
    return float(np.linalg.norm(handles_px - inputs.targets_px, axis=1).max())
