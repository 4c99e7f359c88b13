# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag returns and reports: status, steps, result, and the record of its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from ..arrays import FloatArray


class DragStatus(StrEnum):
    """How a drag has ended."""

    REACHED = "reached"
    STALLED = "stalled"
    STEP_LIMIT = "step_limit"
    STOPPED = "stopped"


# The statuses by the number that stands for each in files: never reorder.
STATUSES = tuple(DragStatus)


@dataclass(frozen=True, kw_only=True)
class DragStep:
    """One step, for the callback.

    Attributes:
        step: 0 for the start.
        loss: of this step's features.
        handles_px: `P x 2` float32, where the handles are now.
        distance_px: how far the farthest handle is from its target.
        latent: `num_ws x w_dim` float32 on the generator's device, the latent of this step.
    """

    step: int
    loss: float
    handles_px: FloatArray
    distance_px: float
    latent: Tensor


@dataclass(frozen=True, kw_only=True)
class DragResult:
    """What a drag has reached; T rows, from the start to the step that the drag ends with.

    A drag ends at its best step: later rows are left out.  One that the person stopped ends where
    it was.

    Attributes:
        reason: one sentence for the person.
        latents: `T x num_ws x w_dim` float32.
        num_layers: how many of the first rows of a latent were free to change.
        handles_px: `T x P x 2` float32.
        distances_px: `T` float32, the farthest handle's distance to its target.
        losses: `T` float32.
        best_index: the row with the least mean distance; of a drag that was not stopped the last.
        steps: how many steps were made, those whose rows are left out among them.
        seconds: of the whole loop.
    """

    status: DragStatus
    reason: str
    latents: FloatArray
    num_layers: int
    handles_px: FloatArray
    distances_px: FloatArray
    losses: FloatArray
    best_index: int
    steps: int
    seconds: float


@dataclass
class Record:
    """The rows so far."""

    start: Tensor
    num_layers: int
    edited: list[Tensor] = field(default_factory=list)
    handles_px: list[FloatArray] = field(default_factory=list)
    farthest_px: list[float] = field(default_factory=list)
    mean_px: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    settled: bool = False
    exhausted: bool = False
    progress_at: int = 0
    progress_px: float = math.inf

    def add(self, latent: Tensor, report: FloatArray) -> None:
        """Append one row from the loop's report."""
        count = len(report) // 3 - 1
        positions, distances = np.split(report[3:], [2 * count])
        self.edited.append(latent[: self.num_layers].clone())
        self.losses.append(float(report[0]))
        self.settled, self.exhausted = bool(report[1]), bool(report[2])
        self.handles_px.append(positions.reshape(count, 2))
        self.farthest_px.append(float(distances.max()))
        self.mean_px.append(float(distances.mean()))

    def steps_without(self, progress_px: float) -> int:
        """How many steps the mean distance has not come down by more than `progress_px`."""
        if self.mean_px[-1] < self.progress_px - progress_px:
            self.progress_px, self.progress_at = self.mean_px[-1], len(self.mean_px)
        return len(self.mean_px) - self.progress_at

    @property
    def best_index(self) -> int:
        """The row with the least mean distance, and of equally near ones the least loss."""
        return int(np.lexsort((self.losses, self.mean_px))[0])

    def arrived_index(self, tolerance_px: float) -> int | None:
        """The best row of those whose handles are all within the tolerance; None without one."""
        rows = [row for row, far in enumerate(self.farthest_px) if far <= tolerance_px]
        return min(rows, key=lambda row: (self.mean_px[row], self.losses[row]), default=None)

    def closest(self) -> str:
        """Half a sentence about the best row."""
        best = self.best_index
        return f"the closest was step {best}, {self.mean_px[best]:.2f} px off on average"

    def step(self, latent: Tensor) -> DragStep:
        """The last row, for the callback."""
        return DragStep(
            step=len(self.losses) - 1,
            loss=self.losses[-1],
            handles_px=self.handles_px[-1],
            distance_px=self.farthest_px[-1],
            latent=latent,
        )

    def result(
        self, status: DragStatus, reason: str, seconds: float, tolerance_px: float
    ) -> DragResult:
        """Everything up to the row that the drag ends with."""
        last = self.best_index
        if status is DragStatus.STOPPED:
            last = len(self.losses) - 1
        elif status is DragStatus.REACHED:
            arrived = self.arrived_index(tolerance_px)
            assert arrived is not None, "reached means that a row has arrived"
            last = arrived
        rows = last + 1
        latents = self.start.cpu().numpy()[None].repeat(rows, axis=0)
        latents[:, : self.num_layers] = torch.stack(self.edited[:rows]).cpu().numpy()
        return DragResult(
            status=status,
            reason=reason,
            latents=latents,
            num_layers=self.num_layers,
            handles_px=np.stack(self.handles_px[:rows]),
            distances_px=np.array(self.farthest_px[:rows], dtype=np.float32),
            losses=np.array(self.losses[:rows], dtype=np.float32),
            best_index=self.best_index if status is DragStatus.STOPPED else last,
            steps=len(self.losses) - 1,
            seconds=seconds,
        )
