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
import numpy.typing as npt

from stylegan2 import Generator

from ..arrays import FloatArray
from ..pictures import OpenPicture
from ..solving.anchor import Anchor
from ..solving.drag import drag
from ..solving.loop import Home, tolerance_of
from ..solving.options import DragOptions
from ..solving.regions import SMALLEST, angle_and_scale, turn_of
from ..solving.result import DragResult, DragStatus, DragStep
from ..solving.stopping import StoppedError, leave_if
from .animated_edit import AnimatedEdit, FrameInputs
from .poses import joined, split
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
        should_stop: Called after each step and between the passes of a step; True ends the bake
            with the rows that are complete. An exception from it ends the bake.
    """

    on_step: Callable[[int, DragStep], None] | None = None
    on_row: Callable[[int, SolvedRow, bool], None] | None = None
    should_stop: Callable[[], bool] | None = None


@dataclass(frozen=True)
class _Start:
    """A latent, and where the handles are in its image; ``turns`` as in ``SolvedRow``."""

    latent: FloatArray
    handles_px: FloatArray
    turns: FloatArray

    @classmethod
    def of(cls, row: SolvedRow) -> _Start:
        return cls(row.latent, row.handles_px, row.turns)


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
        self._anchor_of: tuple[DragOptions, OpenPicture, Anchor] | None = None

    def solve(self, row: int, rows: list[SolvedRow]) -> SolvedRow | None:
        """Solve a row from those before it; return None if the bake was stopped."""
        try:
            return self._solve(row, rows)
        except StoppedError:
            return None

    def _solve(self, row: int, rows: list[SolvedRow]) -> SolvedRow | None:
        edit = self._edit
        before = rows[-1] if rows else None
        if before is not None and before.status in _DONE and edit.is_like_before(row):
            return replace(before, steps=0)
        inputs = edit.inputs(row)
        predicted = self._predicted(row, inputs, rows)
        if predicted is not None and predicted.distance_px <= _NEAR * _tolerance(inputs):
            return None if self._is_stopped() else predicted
        start = self._start(row, inputs, predicted or before)
        # The next row corrects the distance that this one leaves: settling each is not worth it.
        has_arrived = before is not None and before.status is DragStatus.REACHED
        enough = _ENOUGH if has_arrived and edit.refined is None else 0.0
        first = self._round(row, inputs, start, enough)
        if first is None or not self._may_go_on(first, before):
            return first
        second = self._round(row, inputs, _Start.of(first), 0.0)
        if second is None:
            return None
        better = second if second.distance_px < first.distance_px else first
        return replace(better, steps=first.steps + second.steps)

    def _predicted(self, row: int, inputs: FrameInputs, rows: list[SolvedRow]) -> SolvedRow | None:
        """Return the predicted row; None if it is not nearer to the targets than the last row."""
        recent = self._recent(row, rows)
        if len(recent) < 2:
            return None
        before, radii_px = rows[-1], self._edit.radii_px
        latent, points_px = predict(
            [one.latent for one in recent],
            [joined(one.handles_px, one.turns, radii_px) for one in recent],
            joined(inputs.targets_px, inputs.turns, radii_px),
        )
        start = self._found(row, inputs, latent, *split(points_px, radii_px))
        distance_px = self._farthest(start, inputs)
        if distance_px >= self._farthest(_Start.of(before), inputs):
            return None
        # The loss remains that of the last step that was made.
        return replace(before, **vars(start), distance_px=distance_px, steps=0)

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
        start: _Start,
        enough: float,
    ) -> SolvedRow | None:
        """Drag once, to within ``enough`` times the tolerance; return None if it was stopped."""
        result = self._drag(row, inputs, start, enough)
        if result.status is DragStatus.STOPPED:
            return None
        turns = start.turns
        if result.turns is not None:
            turns = _product(turns, turn_of(*result.turns[-1].T))
        found = self._found(row, inputs, result.latents[-1], result.handles_px[-1], turns)
        distance_px = self._farthest(found, inputs)
        status = result.status
        if distance_px <= _tolerance(inputs):
            status = DragStatus.REACHED
        elif status is DragStatus.REACHED:
            status = DragStatus.STALLED
        return SolvedRow(
            **vars(found),
            distance_px=distance_px,
            loss=float(result.losses[-1]),
            steps=result.steps,
            status=status,
        )

    def _start(self, row: int, inputs: FrameInputs, before: SolvedRow | None) -> _Start:
        """Return what to solve a row from."""
        edit, refined = self._edit, self._edit.refined
        if refined is not None:
            return _Start(refined.latents[row], refined.handles_px[row], refined.turns_of(row))
        if before is None:
            previous = edit.home(row)
            turns = np.tile(np.array([1.0, 0.0], np.float32), (len(edit.radii_px), 1))
            start = _Start(previous.latent, edit.handles_px, turns)
        else:
            previous, start = edit.inputs(row - 1).opened, _Start.of(before)
        both_plain = previous.is_plain and inputs.opened.is_plain
        is_like = both_plain or previous is inputs.opened
        if is_like and np.array_equal(previous.latent, inputs.base):
            return start
        changed = start.latent + (inputs.base - previous.latent)
        return self._found(row, inputs, changed, start.handles_px, start.turns)

    def _found(
        self,
        row: int,
        inputs: FrameInputs,
        latent: FloatArray,
        believed_px: FloatArray,
        turns: FloatArray,
    ) -> _Start:
        """Return a latent with where the handles are found in its image."""
        found = self._anchor(row, inputs).find_poses(latent, believed_px, turns)
        return _Start(latent, *found)

    def _farthest(self, start: _Start, inputs: FrameInputs) -> float:
        """Return the farthest handle's distance to its target, image pixels."""
        radii_px = self._edit.radii_px
        points_px = joined(start.handles_px, start.turns, radii_px)
        targets_px = joined(inputs.targets_px, inputs.turns, radii_px)
        return float(np.linalg.norm(points_px - targets_px, axis=1).max())

    def _is_stopped(self) -> bool:
        return self._report.should_stop is not None and self._report.should_stop()

    def _anchor(self, row: int, inputs: FrameInputs) -> Anchor:
        # Keep only the last: options and masks that are animated change with each frame.
        if self._anchor_of is not None:
            options, opened, anchor = self._anchor_of
            both_plain = opened.is_plain and inputs.opened.is_plain
            if options == inputs.options and (both_plain or opened is inputs.opened):
                return anchor
        edit, opened = self._edit, inputs.opened
        # The handles of the edit are where they are in the image without a change of truncation or
        # of the strengths of masked edits.
        home = edit.home(row)
        canvas = opened.canvas(self._generator)
        anchor = Anchor(
            self._generator,
            home.latent,
            edit.handles_px,
            inputs.options,
            radii_px=edit.radii_px,
            canvas=canvas,
            home=canvas if home is opened else home.canvas(self._generator),
            between=leave_if(self._report.should_stop),
        )
        self._anchor_of = inputs.options, opened, anchor
        return anchor

    def _drag(
        self,
        row: int,
        inputs: FrameInputs,
        start: _Start,
        enough: float,
    ) -> DragResult:
        report = self._report
        radii_px, turns = self._regions(start, inputs)

        def on_step(step: DragStep) -> None:
            if report.on_step is not None:
                report.on_step(row, step)

        return drag(
            self._generator,
            start.latent,
            start.handles_px,
            inputs.targets_px,
            inputs.options,
            mask=inputs.mask,
            origin=None if np.array_equal(start.latent, inputs.base) else inputs.base,
            home=Home(latent=self._edit.latent, handles_px=self._edit.handles_px),
            least_steps=1,
            enough_px=enough * _tolerance(inputs),
            radii_px=radii_px,
            turns=turns,
            opened=inputs.opened,
            locked=self._edit.locked,
            on_step=on_step,
            should_stop=report.should_stop,
        )

    def _regions(
        self, start: _Start, inputs: FrameInputs
    ) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the radii of regions in the image of a start, and the turns from there."""
        if not self._edit.has_regions:
            return None, None
        present, wanted = (_complex(turns) for turns in (start.turns, inputs.turns))
        sizes = np.abs(present).astype(np.float32)
        return self._edit.radii_px * sizes, angle_and_scale(_parts(wanted / present))


def _complex(turns: FloatArray) -> npt.NDArray[np.complex128]:
    """Return ``z`` of turns ``P x 2`` as ``P`` numbers; a region that has vanished begins again."""
    numbers = turns[:, 0].astype(np.float64) + 1j * turns[:, 1].astype(np.float64)
    return np.where(np.abs(numbers) < SMALLEST, 1.0, numbers)


def _parts(turns: npt.NDArray[np.complex128]) -> FloatArray:
    return np.stack([turns.real, turns.imag], axis=-1).astype(np.float32)


def _product(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return ``z`` of one turn after another, ``P x 2`` float32."""
    return _parts(_complex(first) * _complex(second))


def _tolerance(inputs: FrameInputs) -> float:
    """Return the distance within which a handle has reached its target, image pixels."""
    return tolerance_of(inputs.options, len(inputs.targets_px))
