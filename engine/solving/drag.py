# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag loop: move handles to targets by changing the latent of a generator.

Options in, result out, a callback for each step; no sockets, no files, no Blender.  The loop lets a
method (see ``methods``) look at its latent and move it, keeps the record, and says when it is over.

Row 0 of every record is the start, unchanged.  Everything of a drag (references, optimiser moments)
is made new for each drag.  On the CPU the result depends on nothing but the arguments and the
number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..features.choice import open_source
from ..features.source import feature_block, held_block
from ..inputs import check_latent, check_mask, check_points
from .methods import METHODS, DragProblem, Look
from .options import DragOptions
from .result import DragResult, DragStatus, DragStep, Record

MANY_HANDLES = 5
MANY_FACTOR = 2.0
"""More handles than this have arrived `MANY_FACTOR` times as far from their targets as few have
(Pan et al., "Drag Your GAN", section 4)."""
_PROGRESS = 0.01
"""Progress is what brings the mean distance down by more than this part of the tolerance."""


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
        self.record = Record(start, layers)

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
