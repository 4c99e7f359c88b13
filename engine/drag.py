# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag loop: move handles to targets by changing the latent of a generator.

Options in, result out, a callback for each step; no sockets, no files, no Blender.  The loop lets a
method (see ``methods``) look at its latent and move it, keeps the record, and says when it is over.

Row 0 of every record is the start, unchanged.  Everything of a drag (references, optimiser moments)
is made new for each drag.  On the CPU the result depends on nothing but the arguments and the
number of threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from .arrays import ByteArray, FloatArray
from .drag_options import DragOptions
from .errors import RequestError
from .feature_source import feature_block, held_block
from .inputs import check_latent, check_mask, check_points
from .methods import METHODS, DragProblem, Look
from .source_choice import open_source

MANY_HANDLES = 5
MANY_FACTOR = 2.0
"""More handles than this have arrived `MANY_FACTOR` times as far from their targets as few have
(Pan et al., "Drag Your GAN", section 4)."""
_PROGRESS = 0.01
"""Progress is what brings the mean distance down by more than this part of the tolerance."""


class DragStatus(StrEnum):
    """How a drag has ended."""

    REACHED = "reached"
    STALLED = "stalled"
    STEP_LIMIT = "step_limit"
    STOPPED = "stopped"


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


def drag(
    generator: Generator,
    latent: FloatArray,
    handles_px: FloatArray,
    targets_px: FloatArray,
    options: DragOptions,
    *,
    mask: ByteArray | None = None,
    origin: FloatArray | None = None,
    least_steps: int = 0,
    enough_px: float = 0.0,
    windows: bool | None = None,
    on_step: Callable[[DragStep], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> DragResult:
    """Drag points of an image.

    Args:
        generator: frozen, on the device to compute on.
        latent: `num_ws x w_dim` float32.
        handles_px: `P x 2` float, image pixels, inside the image.
        targets_px: the same, one for each handle.
        mask: `H x W` uint8 of the image's size, 255 = may change, 0 = stays; None for no limits.
        origin: the latent, as `latent`, of the image before a row of drags that this one goes on
            with: the fixed area stays as it is there, and a method that takes back what no handle
            needs goes back there.  None for the latent itself.
        least_steps: so many are made, even if the handles are at their targets.
        enough_px: a method that could bring the handles nearer than the tolerance need not, once
            all are this near to their targets, image pixels.
        windows: whether features are computed in windows around the handles alone, or as whole
            maps; None for whichever is cheaper.
        on_step: called with every step; what it raises ends the drag and is passed on.
        should_stop: asked once a step; True ends the drag where it is.

    Raises:
        RequestError: the arguments do not fit the generator or each other.
    """
    started = time.monotonic()
    handles, targets = check_points(generator, handles_px, targets_px)
    start = check_latent(generator, latent)
    before = None if origin is None else check_latent(generator, origin)
    fixed = check_mask(generator, mask)
    loop = _Loop(
        *(generator, start, before, handles, targets, options, fixed),
        least_steps=least_steps,
        enough_px=enough_px,
        windows=windows,
    )
    status, reason = loop.run(on_step, should_stop)
    return loop.result(status, reason, time.monotonic() - started)


def tolerance_of(options: DragOptions, handles: int) -> float:
    """How near to its target each of so many handles has arrived, image pixels."""
    return options.tolerance_px * (MANY_FACTOR if handles > MANY_HANDLES else 1.0)


class _Loop:
    """One drag in progress: the method and the record."""

    def __init__(
        self,
        generator: Generator,
        start: Tensor,
        origin: Tensor | None,
        handles_px: Tensor,
        targets_px: Tensor,
        options: DragOptions,
        fixed: Tensor | None,
        *,
        least_steps: int,
        enough_px: float,
        windows: bool | None,
    ) -> None:
        layers = min(options.num_layers, generator.num_ws)
        try:
            block = feature_block(generator, options.feature_resolution)
        except ValueError as error:
            raise RequestError(f"feature_resolution: {error}") from None
        try:
            held = held_block(generator, block, layers, options.mask_resolution)
        except ValueError as error:
            raise RequestError(f"mask_resolution: {error}") from None
        self._options = options
        self._least_steps = least_steps
        self._tolerance_px = tolerance_of(options, len(handles_px))
        self._targets_px = targets_px
        fixed = fixed if options.mask_weight else None
        source = open_source(
            *(generator, block, start),
            free=layers,
            points=len(handles_px),
            reference_ws=origin,
            fixed=fixed,
            held=held,
            windows=windows,
        )
        self._grid = source.grid
        problem = DragProblem(
            generator=generator,
            source=source,
            start=start,
            layers=layers,
            handles=self._grid.to_feature(handles_px),
            targets=self._grid.to_feature(targets_px),
            options=options,
            origin=origin,
            enough_px=enough_px,
        )
        self._method = METHODS[options.method](problem)
        self.record = _Record(start, layers)

    def run(
        self, on_step: Callable[[DragStep], None] | None, should_stop: Callable[[], bool] | None
    ) -> tuple[DragStatus, str]:
        """Step until a rule says to stop."""
        step = 0
        while True:
            with torch.enable_grad():
                look = self._method.look()
            report = self._report(look)
            if not np.isfinite(report).all():
                return DragStatus.STALLED, self._not_finite(step)
            self.record.add(look.latent, report)
            if on_step is not None:
                on_step(self.record.step(look.latent))
            ending = self._ending(step, should_stop)
            if ending is not None:
                return ending
            # Exhausted, and yet no ending: the method has gone back to the start.
            if not self.record.exhausted:
                with torch.enable_grad():
                    self._method.update()
            step += 1

    @torch.no_grad()
    def _report(self, look: Look) -> FloatArray:
        """All numbers of a look in a single transfer from the device.

        Loss, whether it is settled and exhausted (0 or 1), then each handle's x, y in image pixels,
        then each one's distance to its target: `3 + 3 P` float32.
        """
        handles_px = self._grid.to_image(look.handles)
        distances = (handles_px - self._targets_px).norm(dim=1)
        states = (state.to(look.loss) for state in (look.settled, look.exhausted))
        numbers = torch.stack([look.loss, *states])
        report: FloatArray = torch.cat([numbers, handles_px.flatten(), distances]).cpu().numpy()
        return report

    def _ending(
        self, step: int, should_stop: Callable[[], bool] | None
    ) -> tuple[DragStatus, str] | None:
        """How it ends here, if it does; a method that is exhausted may begin anew instead."""
        options, record = self._options, self.record
        at_limit = bool(options.max_steps) and step >= options.max_steps
        may_end = step >= self._least_steps and (record.settled or at_limit)
        if may_end and record.arrived_index(self._tolerance_px) is not None:
            distance = f"within {self._tolerance_px:g} px of its target"
            return DragStatus.REACHED, f"every handle is {distance} after {step} steps"
        if should_stop is not None and should_stop():
            return DragStatus.STOPPED, f"stopped by request at step {step}"
        if at_limit:
            text = f"the limit of {options.max_steps} steps was met; {record.closest()}"
            return DragStatus.STEP_LIMIT, text
        if record.exhausted and not self._method.begin_anew():
            text = f"further steps bring the handles no nearer; {record.closest()}"
            return DragStatus.STALLED, text
        if options.patience and record.steps_without(_PROGRESS * self._tolerance_px) >= (
            options.patience
        ):
            text = f"no progress in the last {options.patience} steps; {record.closest()}"
            return DragStatus.STALLED, text
        return None

    def result(self, status: DragStatus, reason: str, seconds: float) -> DragResult:
        """What `drag` returns."""
        return self.record.result(status, reason, seconds, self._tolerance_px)

    def _not_finite(self, step: int) -> str:
        if not self.record.losses:
            raise RequestError("the model gives values that are not finite for this latent")
        text = f"the numbers overflowed at step {step}; {self.record.closest()}"
        return f"{text}; try a smaller step size or reach"


@dataclass
class _Record:
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
