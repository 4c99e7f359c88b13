# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag returns and reports: its status, steps and result, and the record of its rows."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from ..arrays import FloatArray
from ..pictures import OpenPicture, Picture
from .points import RowPoints, joined_rows
from .regions import turn_of


class DragStatus(StrEnum):
    """How a drag ended.

    Attributes:
        REACHED: Every handle is within the tolerance of its target.
        STALLED: More steps did not help, or the computed values overflowed.
        STEP_LIMIT: The drag reached its largest number of steps.
        STOPPED: The caller stopped the drag.
        LOST: The content of a handle was lost, so the distances are not to be believed.
    """

    REACHED = "reached"
    STALLED = "stalled"
    STEP_LIMIT = "step_limit"
    STOPPED = "stopped"
    LOST = "lost"


# What a person can do about a drag that the model has no images for.
_NO_IMAGES = "this model has no images: try a nearer target, or a mask"

# Files store the index of a status in this tuple: do not change the order, append.
STATUSES = tuple(DragStatus)


@dataclass(frozen=True, kw_only=True)
class DragStep:
    """One step of a drag, as the callback receives it.

    Attributes:
        step: The number of the step, 0 for the start.
        loss: The method's loss at this step.
        handles_px: ``P x 2`` float32, the positions of the handles, image pixels.
        distance_px: The largest distance of a handle from its target, image pixels.
        latent: ``num_ws x w_dim`` float32 on the generator's device, the latent of this step.
        distances_px: ``P`` float32, how far each handle is from its target, image pixels; for a
            region see ``points.RowPoints.distances_px``.
        turns: ``P x 2`` float32, the angles (radians, counter-clockwise as a person sees the image)
            and scales of regions; None if there is no region.
        flat: For each handle, whether it was placed on something that cannot be followed.
        opened: The picture that the latent belongs to; None for that of a whole image.
    """

    step: int
    loss: float
    handles_px: FloatArray
    distance_px: float
    latent: Tensor
    distances_px: FloatArray
    turns: FloatArray | None = None
    flat: tuple[bool, ...] = ()
    opened: OpenPicture | None = None


@dataclass(frozen=True, kw_only=True)
class RowReport:
    """The numbers of one look.

    Attributes:
        loss: The method's loss.
        settled: Whether the method has settled, see ``methods.base.Look``.
        exhausted: Whether the method is exhausted.
        strained: Whether one of the last steps was cut short, see ``methods.base.Look``.
        places_px: ``P x 2`` float32, the places of the handles, image pixels.
        distances_px: ``P`` float32, how far each handle is from its target, image pixels.
        turns: ``P x 2`` float32, angles and scales; None if there is no region.
        points_px: ``K x 2`` float32, the places of all points that are solved, image pixels.
    """

    loss: float
    settled: bool
    exhausted: bool
    strained: bool
    places_px: FloatArray
    distances_px: FloatArray
    turns: FloatArray | None
    points_px: FloatArray


@dataclass(frozen=True, kw_only=True)
class DragResult:
    """The result of a drag: T rows, from the start to the step that the drag ends with.

    A drag ends with its best step; rows of later steps are left out. A drag that the caller stopped
    ends with its last step.

    Attributes:
        status: How the drag ended.
        reason: Why the drag ended, a sentence for the user.
        latents: ``T x num_ws x w_dim`` float32; row 0 is the start, unchanged.
        num_layers: How many of the first w vectors could change.
        keys: The keys of the P points, the last ones of the drag.
        targets_px: ``P x 2`` float32, their last targets, image pixels.
        handles_px: ``T x P x 2`` float32, the positions of the handles, image pixels. A point that
            was added later is before that where it was added.
        distances_px: ``T`` float32, the largest distance of a handle from its last target, image
            pixels.
        losses: ``T`` float32, the method's loss.
        best_index: The row with the smallest mean distance if the drag was stopped, else the last
            row.
        steps: How many steps were made, including those whose rows are left out, and those of a
            second way (see ``two_ways``).
        seconds: The duration of the drag.
        turns: ``T x P x 2`` float32, the angles (radians, counter-clockwise as a person sees the
            image, without jumps of a full turn) and scales of regions; None if there is no region.
        flat: For each handle, whether it was placed on something that cannot be followed; False
            if nobody asked.
        lost: For each handle, whether its content was lost at the end; likewise.
        held: For each handle, whether an exact mask holds it, so that its target counts as where it
            is; empty if it holds none.
        is_beyond: Whether the drag came no closer because the model has no such images.
        wanted: What the last rows were made for.
        opened: The picture that the latents belong to; None if each is that of a whole image.
    """

    status: DragStatus
    reason: str
    latents: FloatArray
    num_layers: int
    keys: tuple[Hashable, ...]
    targets_px: FloatArray
    handles_px: FloatArray
    distances_px: FloatArray
    losses: FloatArray
    best_index: int
    steps: int
    seconds: float
    turns: FloatArray | None = None
    flat: tuple[bool, ...] = ()
    lost: tuple[bool, ...] = ()
    held: tuple[bool, ...] = ()
    is_beyond: bool = False
    wanted: RowPoints | None = None
    opened: OpenPicture | None = None

    def picture(self, row: int) -> Picture:
        """Return the picture of a row; negative numbers count from the end."""
        return picture_at(self.opened, self.latents[row])

    def distances_of_pairs_px(self) -> FloatArray:
        """Return how far each handle is from its target at the end, ``P`` float32, image pixels."""
        wanted = self.wanted or RowPoints(keys=self.keys, targets_px=self.targets_px)
        turns = None if self.turns is None else self.turns[-1]
        return wanted.distances_px(self.handles_px[-1], turns)


def picture_at(opened: OpenPicture | None, latent: FloatArray) -> Picture:
    """Return the picture of a latent, which may be that of layers of an opened picture."""
    return Picture(latent) if opened is None else opened.at(latent)


@dataclass
class Record:
    """The rows of a drag in progress.

    The rows before ``first`` were made with other points or other targets. They are part of the
    result, but do not count where the drag asks how close it has come.

    Attributes:
        start: ``num_ws x w_dim`` float32, the latent that the drag starts from.
        num_layers: How many of the first w vectors may change.
        points: The points of the next row.
        opened: The picture that the latents belong to, or None.
        first: The first row with the present points and targets.
        edited: ``num_layers x w_dim`` float32 per row, on the generator's device.
        handles_px: ``P x 2`` float32 per row, image pixels; P may differ between rows.
        turns: ``P x 2`` float32 per row, angles and scales; None in a row without a region.
        points_px: ``K x 2`` float32 per row, the places of all points that are solved.
        points_of_rows: The points of each row.
        flat: For each of the present handles, whether it cannot be followed.
        distances_px: ``P`` float32, how far the handles are from their targets at the last row.
        farthest_px: The largest distance of a handle from its target, for each row.
        mean_px: The mean distance of the handles from their targets, for each row.
        losses: The method's loss, for each row.
        settled: Whether the method has settled at the last row, see ``methods.base.Look``.
        exhausted: Whether the method is exhausted at the last row.
        strained: Whether one of the last steps was cut short, see ``methods.base.Look``.
        progress_at: How many rows there were when the last progress was made, or at the last
            change of the points.
        progress_px: The mean distance at the last progress.
    """

    start: Tensor
    num_layers: int
    points: RowPoints
    opened: OpenPicture | None = None
    first: int = 0
    edited: list[Tensor] = field(default_factory=list)
    handles_px: list[FloatArray] = field(default_factory=list)
    turns: list[FloatArray | None] = field(default_factory=list)
    points_px: list[FloatArray] = field(default_factory=list)
    points_of_rows: list[RowPoints] = field(default_factory=list)
    flat: tuple[bool, ...] = ()
    distances_px: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    farthest_px: list[float] = field(default_factory=list)
    mean_px: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    settled: bool = False
    exhausted: bool = False
    strained: bool = False
    progress_at: int = 0
    progress_px: float = math.inf

    def add(self, latent: Tensor, report: RowReport) -> None:
        """Append one row with its latent, ``num_ws x w_dim`` float32."""
        self.edited.append(latent[: self.num_layers].clone())
        self.losses.append(report.loss)
        self.settled, self.exhausted = report.settled, report.exhausted
        self.strained = report.strained
        self.handles_px.append(report.places_px)
        self.turns.append(report.turns)
        self.points_px.append(report.points_px)
        self.points_of_rows.append(self.points)
        self.distances_px = report.distances_px
        self.farthest_px.append(float(report.distances_px.max()))
        self.mean_px.append(float(report.distances_px.mean()))

    def begin_with(self, points: RowPoints, flat: tuple[bool, ...]) -> None:
        """Go on with other points or other targets: the rows so far no longer count as close."""
        self.points, self.flat = points, flat
        self.first = self.progress_at = len(self.losses)
        self.progress_px = math.inf

    def present(self) -> tuple[Tensor, dict[Hashable, tuple[FloatArray, FloatArray]]]:
        """Return where the drag is.

        Returns:
            The latent of the last row, and for the key of each of its points the place, ``2``
            float32, image pixels, and ``z`` of its region, ``2`` float32; see ``regions``.
        """
        if not self.losses:
            return self.start, {}
        turns = self.turns[-1]
        if turns is None:
            turns = np.tile(np.array([0.0, 1.0], np.float32), (len(self.handles_px[-1]), 1))
        places = zip(self.handles_px[-1], turn_of(turns[:, 0], turns[:, 1]), strict=True)
        keys = self.points_of_rows[-1].keys
        return self.latent(len(self.losses) - 1), dict(zip(keys, places, strict=True))

    @property
    def latest_steps(self) -> int:
        """How many steps were made with the present points and targets."""
        # The row of the start was made by no step.
        return len(self.losses) - max(self.first, 1)

    def steps_without(self, progress_px: float) -> int:
        """Return how many steps ago the mean distance last fell by more than ``progress_px``.

        The fall is measured from the last progress. Call this once for each row, because it also
        updates the last progress.
        """
        if self.mean_px[-1] < self.progress_px - progress_px:
            self.progress_px, self.progress_at = self.mean_px[-1], len(self.mean_px)
        return len(self.mean_px) - self.progress_at

    @property
    def best_index(self) -> int:
        """The row with the smallest mean distance, of equal ones that with the smallest loss."""
        first = min(self.first, len(self.losses) - 1)
        rows = self.losses[first:], self.mean_px[first:]
        return first + int(np.lexsort(rows)[0])

    def arrived_index(self, tolerance_px: float) -> int | None:
        """Return the best row of those with all handles within the tolerance, or None."""
        rows = [
            row
            for row in range(self.first, len(self.farthest_px))
            if self.farthest_px[row] <= tolerance_px
        ]
        return min(rows, key=lambda row: (self.mean_px[row], self.losses[row]), default=None)

    def closest(self) -> str:
        """Return a clause about the best row, for the reason of the result."""
        best = self.best_index
        text = f"the closest was step {best}, with a mean distance of {self.mean_px[best]:.2f} px"
        return f"{text}, beyond which {_NO_IMAGES}" if self.strained else text

    def at_end(self, row: int) -> str:
        """Return a clause about a row beyond which there are no images, for the reason."""
        return f"a mean distance of {self.mean_px[row]:.2f} px is left, beyond which {_NO_IMAGES}"

    def step(self, latent: Tensor) -> DragStep:
        """Return the last row for the callback, with its latent ``num_ws x w_dim``."""
        return DragStep(
            step=len(self.losses) - 1,
            loss=self.losses[-1],
            handles_px=self.handles_px[-1],
            distance_px=self.farthest_px[-1],
            latent=latent,
            distances_px=self.distances_px,
            turns=self.turns[-1],
            flat=self.flat,
            opened=self.opened,
        )

    def latent(self, row: int) -> Tensor:
        """Return the complete latent of a row, ``num_ws x w_dim`` float32."""
        return torch.cat([self.edited[row], self.start[self.num_layers :]])

    def last_index(self, status: DragStatus, tolerance_px: float) -> int:
        """Return the row that a drag with this status ends with."""
        if status is DragStatus.STOPPED:
            return len(self.losses) - 1
        if status is DragStatus.REACHED:
            arrived = self.arrived_index(tolerance_px)
            assert arrived is not None, "reached means that a row has arrived"
            return arrived
        return self.best_index

    def result(
        self,
        status: DragStatus,
        reason: str,
        seconds: float,
        tolerance_px: float,
        last: int | None = None,
    ) -> DragResult:
        """Return the result, with the rows up to the one that the drag ends with.

        Args:
            status: How the drag ended.
            reason: Why, a sentence for the user.
            seconds: The duration of the drag.
            tolerance_px: The distance at which a handle has arrived, image pixels.
            last: The row that it ends with; None for that of ``last_index``.
        """
        if last is None:
            last = self.last_index(status, tolerance_px)
        rows = last + 1
        latents = self.start.cpu().numpy()[None].repeat(rows, axis=0)
        latents[:, : self.num_layers] = torch.stack(self.edited[:rows]).cpu().numpy()
        points = self.points_of_rows[last]
        keys = [row.keys for row in self.points_of_rows[:rows]]
        handles_px = joined_rows(self.handles_px[:rows], keys)
        turns = self._turns(rows, keys)
        distances_px = np.array(self.farthest_px[:rows], dtype=np.float32)
        if self.first:
            distances_px = points.distances_px(handles_px, turns).max(axis=1)
        return DragResult(
            status=status,
            reason=reason,
            latents=latents,
            num_layers=self.num_layers,
            keys=points.keys,
            targets_px=points.targets_px,
            handles_px=handles_px,
            distances_px=distances_px,
            losses=np.array(self.losses[:rows], dtype=np.float32),
            best_index=self.best_index if status is DragStatus.STOPPED else last,
            steps=len(self.losses) - 1,
            seconds=seconds,
            turns=turns,
            is_beyond=self.strained and status in (DragStatus.STALLED, DragStatus.STEP_LIMIT),
            wanted=points,
            opened=self.opened,
        )

    def _turns(self, rows: int, keys: list[tuple[Hashable, ...]]) -> FloatArray | None:
        """Return the angles and scales of the last row's points, ``T x P x 2``, or None."""
        if self.turns[rows - 1] is None:
            return None
        none = np.array([0.0, 1.0], np.float32)
        parts = [
            np.tile(none, (len(own), 1)) if part is None else part
            for part, own in zip(self.turns[:rows], keys, strict=True)
        ]
        turns = joined_rows(parts, keys)
        turns[..., 0] = np.unwrap(turns[..., 0], axis=0)
        return turns
