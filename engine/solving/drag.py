# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag loop: moves handles to their targets by changing the latent of a generator.

It takes options, returns a result and calls a function for each step. It uses no sockets, files or
Blender. The loop lets a method (see ``methods``) look at its latent and move it, keeps the record
of all steps, and decides when the drag ends.

Row 0 of every record is the start, unchanged. A drag keeps no state (reference features, optimiser
moments) from earlier drags. On the CPU the result depends only on the arguments and the number of
threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence

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
from .points import LiveChanges, LivePoints, PointChange, RowPoints, numbers_of
from .result import DragResult, DragStatus, DragStep, Record

# With more handles than this, the tolerance is multiplied by ``MANY_FACTOR``; Pan et al., "Drag
# Your GAN", section 4.
MANY_HANDLES = 5
MANY_FACTOR = 2.0
# Progress means that the mean distance falls by more than this share of the tolerance.
_PROGRESS = 0.01


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
    keys: Sequence[Hashable] | None = None,
    changes: LiveChanges | None = None,
    on_step: Callable[[DragStep], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> DragResult:
    """Drag points of an image to their targets.

    Args:
        generator: Frozen, on the device to compute on.
        latent: ``num_ws x w_dim`` float32, the latent to start from.
        handles_px: ``P x 2`` float, P > 0, (x, y) in image pixels, inside the image.
        targets_px: ``P x 2`` float, the target of each handle, in image pixels.
        options: The options of the drag.
        mask: ``H x W`` uint8 in the image's size, 255 = may change, 0 = fixed; None if everything
            may change.
        origin: ``num_ws x w_dim`` float32, the latent of the original image if this drag continues
            earlier ones. The fixed area keeps the features of the origin, and a method that
            reverts changes which no handle needs reverts them towards the origin. None for
            ``latent``.
        least_steps: The smallest number of steps, even if the handles are at their targets.
        enough_px: Once all handles are this close to their targets, image pixels, a method need
            not move them closer, even if it could.
        windows: True to compute features only in windows around the handles, False to compute
            whole maps, None for whichever is cheaper.
        keys: A key for each point, by which ``changes`` refers to it; None for their numbers.
        changes: Replaces the points while the drag runs; see ``points.LiveChanges``. A drag whose
            points can be replaced makes no second attempt from its start. An exception that it
            raises ends the drag and is not caught.
        on_step: Called with every step, the start included. An exception that it raises ends the
            drag and is not caught.
        should_stop: Called once per step; the drag ends with the current step if it returns True.

    Raises:
        RequestError: The arguments do not match the generator or each other, or the model computes
            values that are not finite for the latent.
    """
    started = time.monotonic()
    points = LivePoints(
        keys=range(len(handles_px)) if keys is None else keys,
        handles_px=handles_px,
        targets_px=targets_px,
    )
    start = check_latent(generator, latent)
    origin_latent = None if origin is None else check_latent(generator, origin)
    fixed = check_mask(generator, mask)
    loop = _Loop(
        generator,
        start,
        origin_latent,
        points,
        options,
        fixed,
        least_steps=least_steps,
        enough_px=enough_px,
        windows=windows,
    )
    status, reason = loop.run(on_step, should_stop, changes)
    return loop.result(status, reason, time.monotonic() - started)


def tolerance_of(options: DragOptions, handles: int) -> float:
    """Return the distance from its target at which a handle has arrived, image pixels.

    Args:
        options: The options of the drag.
        handles: The number of handles.
    """
    return options.tolerance_px * (MANY_FACTOR if handles > MANY_HANDLES else 1.0)


def _row_points(points: LivePoints) -> RowPoints:
    targets_px = np.array(points.targets_px, dtype=np.float32)
    return RowPoints(keys=tuple(points.keys), targets_px=targets_px)


class _Loop:
    """A drag in progress: its method and its record."""

    def __init__(
        self,
        generator: Generator,
        start: Tensor,
        origin: Tensor | None,
        points: LivePoints,
        options: DragOptions,
        fixed: Tensor | None,
        *,
        least_steps: int,
        enough_px: float,
        windows: bool | None,
    ) -> None:
        handles_px, targets_px = check_points(generator, points.handles_px, points.targets_px)
        num_layers = min(options.num_layers, generator.num_ws)
        try:
            block = feature_block(generator, options.feature_resolution)
        except ValueError as error:
            raise RequestError(f"feature_resolution: {error}") from None
        try:
            held = held_block(generator, block, num_layers, options.mask_resolution)
        except ValueError as error:
            raise RequestError(f"mask_resolution: {error}") from None
        self._generator = generator
        self._options = options
        self._least_steps = least_steps
        self._tolerance_px = tolerance_of(options, len(handles_px))
        self._targets_px = targets_px
        fixed = fixed if options.mask_weight else None
        source = open_source(
            generator,
            block,
            start,
            num_layers=num_layers,
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
            num_layers=num_layers,
            handles=self._grid.to_feature(handles_px),
            targets=self._grid.to_feature(targets_px),
            options=options,
            origin=origin,
            enough_px=enough_px,
        )
        self._method = METHODS[options.method](problem)
        self.record = Record(start, num_layers, _row_points(points))

    def run(
        self,
        on_step: Callable[[DragStep], None] | None,
        should_stop: Callable[[], bool] | None,
        changes: LiveChanges | None,
    ) -> tuple[DragStatus, str]:
        """Make steps until the drag ends; return the status and the reason."""
        step, points = 0, None
        while True:
            if points is None and changes is not None:
                points = changes(None)
            if points is not None:
                self._replace(points)
            with torch.enable_grad():
                look = self._method.look()
            report = self._report(look)
            if not np.isfinite(report).all():
                return DragStatus.STALLED, self._not_finite(step)
            self.record.add(look.latent, report)
            if on_step is not None:
                on_step(self.record.step(look.latent))
            ending = self._ending(step, should_stop, may_begin_anew=changes is None)
            if ending is not None:
                points = changes(self._last_latent(ending[0])) if changes is not None else None
                if points is None:
                    return ending
                step += 1
                continue
            points = None
            # If the method is exhausted and the drag goes on, it has returned to the start.
            if not self.record.exhausted:
                with torch.enable_grad():
                    self._method.update()
            step += 1

    def _replace(self, points: LivePoints) -> None:
        """Go on with other points, from the next look on."""
        device = self._targets_px.device
        present = self.record.points.keys
        numbers = numbers_of(points.keys, present)
        # Only new points have to be inside the image: it is not known here where the others are.
        checked_px = np.where((numbers < 0).numpy()[:, None], points.handles_px, points.targets_px)
        handles_px, self._targets_px = check_points(self._generator, checked_px, points.targets_px)
        self._tolerance_px = tolerance_of(self._options, len(handles_px))
        self.record.begin_with(_row_points(points))
        self._method.replace(
            PointChange(
                kept=numbers,
                handles=self._grid.to_feature(handles_px).to(device),
                targets=self._grid.to_feature(self._targets_px),
                is_same=self.record.points.keys == present,
            )
        )

    def _last_latent(self, status: DragStatus) -> Tensor:
        """Return the latent that the drag ends with if it ends now, ``num_ws x w_dim``."""
        return self.record.latent(self.record.last_index(status, self._tolerance_px))

    @torch.no_grad()
    def _report(self, look: Look) -> FloatArray:
        """Return all numbers of a look, copied from the device in a single transfer.

        Returns:
            ``3 + 3 P`` float32: the loss, settled, exhausted (0 or 1 each), x and y of each handle,
            and the distance of each from its target; image pixels.
        """
        handles_px = self._grid.to_image(look.handles)
        distances = (handles_px - self._targets_px).norm(dim=1)
        states = (state.to(look.loss) for state in (look.settled, look.exhausted))
        numbers = torch.stack([look.loss, *states])
        report: FloatArray = torch.cat([numbers, handles_px.flatten(), distances]).cpu().numpy()
        return report

    def _ending(
        self, step: int, should_stop: Callable[[], bool] | None, *, may_begin_anew: bool
    ) -> tuple[DragStatus, str] | None:
        """Return the status and the reason if the drag ends at this step, else None.

        An exhausted method is asked to make another attempt first.
        """
        options, record = self._options, self.record
        at_limit = bool(options.max_steps) and record.latest_steps >= options.max_steps
        may_end = step >= self._least_steps and (record.settled or at_limit)
        if may_end and record.arrived_index(self._tolerance_px) is not None:
            distance = f"within {self._tolerance_px:g} px of its target"
            return DragStatus.REACHED, f"every handle is {distance} after {step} steps"
        if should_stop is not None and should_stop():
            return DragStatus.STOPPED, f"stopped by request at step {step}"
        if at_limit:
            text = f"the limit of {options.max_steps} steps was reached; {record.closest()}"
            return DragStatus.STEP_LIMIT, text
        if record.exhausted and not (may_begin_anew and self._method.begin_anew()):
            text = f"more steps do not move the handles closer; {record.closest()}"
            return DragStatus.STALLED, text
        if options.patience and record.steps_without(_PROGRESS * self._tolerance_px) >= (
            options.patience
        ):
            text = f"no progress in the last {options.patience} steps; {record.closest()}"
            return DragStatus.STALLED, text
        return None

    def result(self, status: DragStatus, reason: str, seconds: float) -> DragResult:
        """Return the result of ``drag``."""
        return self.record.result(status, reason, seconds, self._tolerance_px)

    def _not_finite(self, step: int) -> str:
        if not self.record.losses:
            raise RequestError("the model computes values that are not finite for this latent")
        text = f"the computed values overflowed at step {step}; {self.record.closest()}"
        return f"{text}; try a smaller step size or reach"
