# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of a drag: it lets a method look and move, keeps the record, and decides when to end.

``drag.drag`` makes one loop for each drag; what is made of its last row is in ``judging``. Row 0 of
every record is the start, unchanged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from draggan_blender.protocol.settings import DEFAULTS
from stylegan2 import Generator

from ..arrays import FloatArray
from ..errors import RequestError
from ..features.source import ImageOf, feature_block, grid_of
from ..inputs import check_latent, check_points
from ..pictures import OpenPicture
from .ground import Ground
from .judging import EndedDrag, result_of
from .lock import Locked
from .lost import Change, change_at_end
from .methods import METHODS, DragProblem, Look
from .methods.looks import FADE
from .options import DragOptions, check_radii
from .pair_points import PairPoints
from .picture import Paths
from .points import LiveChanges, LivePoints, PointChange, RowPoints, numbers_of
from .regions import angle_and_scale, turn_of
from .result import DragResult, DragStatus, DragStep, Record, RowReport
from .stopping import StoppedError, leave_if
from .structure import shares_seen
from .under_mask import left_where_held

# With more handles than this, the tolerance is multiplied by ``MANY_FACTOR``; Pan et al., "Drag
# Your GAN", section 4.
MANY_HANDLES = 5
MANY_FACTOR = 2.0
# Progress means that the mean distance falls by more than this share of the tolerance.
_PROGRESS = 0.01
# The space of drags with an exact mask. In it, an image would change everywhere, but the mask keeps
# all except one part, and a part alone is easily outside what the whole images of a model show.
_PART_SPACE = "w+"


@dataclass(frozen=True, kw_only=True)
class Home:
    """The image that an edit of several drags began with.

    Attributes:
        latent: ``num_ws x w_dim`` float32.
        handles_px: ``P x 2`` float32, where the handles were in it, image pixels.
    """

    latent: FloatArray
    handles_px: FloatArray


def tolerance_of(options: DragOptions, handles: int) -> float:
    """Return the distance from its target at which a handle has arrived, image pixels.

    Args:
        options: The options of the drag.
        handles: The number of handles.
    """
    return options.tolerance_px * (MANY_FACTOR if handles > MANY_HANDLES else 1.0)


class Loop:
    """A drag in progress: its method and its record.

    Attributes:
        record: Its rows.
        ending: How it ends with its last row, the status and the reason; None if it goes on.
        is_part: Whether it changes a part of the image through an exact mask, in the space that
            such drags have by default.
    """

    def __init__(
        self,
        generator: Generator,
        start: Tensor,
        origin: Tensor | None,
        points: LivePoints,
        options: DragOptions,
        *,
        fixed: Tensor | None,
        home: Home | None,
        least_steps: int,
        enough_px: float,
        windows: bool | None,
        judged: bool,
        opened: OpenPicture,
        locked: Locked | None,
        should_stop: Callable[[], bool] | None,
        image_of: ImageOf | None,
        looks_fade: float = FADE,
    ) -> None:
        check_points(generator, points.handles_px, points.targets_px)
        num_layers = min(options.num_layers, generator.num_ws)
        try:
            block = feature_block(generator, options.feature_resolution)
        except ValueError as error:
            raise RequestError(f"feature_resolution: {error}") from None
        self._ground = Ground(
            generator,
            start,
            opened,
            fixed,
            options,
            block=block,
            num_layers=num_layers,
            origin=origin,
            windows=windows,
            between=self._between,
            image_of=image_of,
        )
        self._generator = generator
        self._options = options
        self._least_steps = least_steps
        self._judged = judged
        self._should_stop = should_stop
        self._tolerance_px = tolerance_of(options, len(points.keys))
        self._grid = grid_of(generator, block)
        check_radii(options, self._grid.feature_size)
        self._pairs = PairPoints(
            generator, block, self._grid, options.r1, judged=judged, canvas=self._ground.canvas
        )
        points, self._held = left_where_held(self._ground.canvas, points, {}, self._tolerance_px)
        solved, self._regions = self._pairs.expand(points, start, {})
        self._homes_px = {}
        if home is not None:
            self._homes_px = dict(zip(points.keys, home.handles_px, strict=True))
        handles_px, self._targets_px = check_points(generator, solved.handles_px, solved.targets_px)
        is_part = self._ground.is_masked and options.latent_space == DEFAULTS["latent_space"]
        self.is_part = is_part
        self._first_handles = self._grid.to_feature(handles_px)
        self._method = METHODS[options.method](
            DragProblem(
                generator=generator,
                source=self._ground.source(len(handles_px)),
                start=start,
                num_layers=num_layers,
                handles=self._first_handles,
                targets=self._grid.to_feature(self._targets_px),
                options=replace(options, latent_space=_PART_SPACE) if is_part else options,
                paths=self._paths(points, start.device),
                home=start if home is None else check_latent(generator, home.latent),
                regions=self._regions,
                origin=origin,
                enough_px=enough_px,
                between=self._between,
                shares=self._shares(start.device),
                locked=locked,
                is_part=is_part,
                looks_fade=looks_fade,
            )
        )
        self.record = Record(start, num_layers, RowPoints.of(points), opened=opened)
        self.ending: tuple[DragStatus, str] | None = None
        self.record.flat = self._flat()

    def run(
        self,
        on_step: Callable[[DragStep], None] | None,
        changes: LiveChanges | None,
    ) -> tuple[DragStatus, str]:
        """Make steps until the drag ends; return the status and the reason."""
        try:
            return self._run(on_step, changes)
        except StoppedError:
            if not self.record.losses:
                self._add_start(on_step)
            return self._stopped(len(self.record.losses) - 1)
        finally:
            # What it has computed refers to this loop, through autograd, which Python's garbage
            # collector cannot see: together they would stay in memory for ever.
            del self._method

    def _run(
        self, on_step: Callable[[DragStep], None] | None, changes: LiveChanges | None
    ) -> tuple[DragStatus, str]:
        step = 0
        while True:
            with torch.enable_grad():
                look = self._method.look()
            report = self._report(look)
            if report is None:
                return DragStatus.STALLED, self._not_finite(step)
            self.record.add(look.latent, report)
            if on_step is not None:
                on_step(self.record.step(look.latent))
            # An open drag, and one whose points were changed, must not jump back to its start.
            may_begin_anew = not self.record.first and (changes is None or not changes.is_open)
            self.ending = ending = self._ending(step, may_begin_anew=may_begin_anew)
            step += 1
            if ending is None and self.record.exhausted:
                # The method has returned to the start.
                continue
            points = None
            if changes is not None:
                points = changes.take(None if ending is None else self._last_latent(ending[0]))
            if points is None and ending is not None:
                return ending
            is_same = points is None or self._replace(points)
            if ending is None or is_same:
                with torch.enable_grad():
                    self._method.update()

    def _replace(self, pairs: LivePoints) -> bool:
        """Go on with other pairs, or a larger mask; return whether only targets differ."""
        device = self._targets_px.device
        present, was_plain = self._pairs.keys, self._regions is None
        before = self.record.points.keys
        # Only new pairs have to be inside the image: it is not known here where the others are.
        is_new = (numbers_of(pairs.keys, before) < 0).numpy()[:, None]
        checked_px = np.where(is_new, pairs.handles_px, pairs.targets_px)
        check_points(self._generator, checked_px, pairs.targets_px)
        latent, places = self.record.present()
        is_wider = pairs.mask is not None and self._ground.widen(pairs.mask)
        self._pairs.canvas, self.record.opened = self._ground.canvas, self._ground.opened
        self._tolerance_px = tolerance_of(self._options, len(pairs.keys))
        pairs, self._held = left_where_held(self._ground.canvas, pairs, places, self._tolerance_px)
        points, self._regions = self._pairs.expand(pairs, latent.to(device), places)
        handles_px, self._targets_px = check_points(
            self._generator, points.handles_px, points.targets_px
        )
        self.record.begin_with(RowPoints.of(pairs), self._flat())
        is_plain = self._regions is None
        kept = numbers_of(points.keys, present)
        kept[[key in self._pairs.moved for key in points.keys]] = -1
        is_same = (
            tuple(points.keys) == present
            and is_plain == was_plain
            and bool((kept >= 0).all())
            and not is_wider
        )
        self._method.replace(
            PointChange(
                kept=kept,
                handles=self._grid.to_feature(handles_px).to(device),
                targets=self._grid.to_feature(self._targets_px),
                is_same=is_same,
                paths=self._paths(pairs, device),
                regions=self._regions,
                shares=self._shares(device),
                source=self._ground.source(len(handles_px)) if is_wider else None,
            )
        )
        return is_same

    def _paths(self, pairs: LivePoints, device: torch.device) -> Paths:
        """Return the ways of pairs, after ``self._pairs`` has taken them over."""
        known = self._pairs.known
        homes_px = [
            self._homes_px.get(key, one.starts_px[0])
            for key, one in zip(pairs.keys, known, strict=True)
        ]
        radii_px = np.array([one.radius_px for one in known])
        rims_px = np.zeros_like(radii_px)
        if pairs.turns is not None:
            turns = turn_of(*np.asarray(pairs.turns).T)
            rims_px = radii_px * np.linalg.norm(turns - [1, 0], axis=1)
        parts = (np.stack(homes_px), pairs.targets_px, radii_px, rims_px)
        tensors = (torch.from_numpy(np.asarray(part, np.float32)).to(device) for part in parts)
        homes, targets, radii, rims = tensors
        return Paths(homes_px=homes, targets_px=targets, radii_px=radii, rims_px=rims)

    def _shares(self, device: torch.device) -> Tensor | None:
        """Return how much each handle counts, ``P``; None if all show what can be followed."""
        structures = [one.structure for one in self._pairs.known]
        if self._regions is not None or not any(self._flat()):
            return None
        seen = [one for one in structures if one is not None]
        assert len(seen) == len(structures), "either all plain handles are judged or none"
        return shares_seen(torch.cat(seen)).to(device)

    def _flat(self) -> tuple[bool, ...]:
        return tuple(one.is_flat for one in self._pairs.known)

    def _last_latent(self, status: DragStatus) -> Tensor:
        """Return the latent that the drag ends with if it ends now, ``num_ws x w_dim``."""
        return self.record.latent(self.record.last_index(status, self._tolerance_px))

    @torch.no_grad()
    def _report(self, look: Look) -> RowReport | None:
        """Return all numbers of a look, copied from the device in a single transfer.

        Returns:
            The numbers, or None if not all of them are finite.
        """
        strained = look.settled.new_zeros(()) if look.strained is None else look.strained
        states = (state.to(look.loss) for state in (look.settled, look.exhausted, strained))
        numbers = torch.stack([look.loss, *states])
        points_px = self._grid.to_image(look.handles)
        regions = self._regions
        if regions is None:
            distances = (points_px - self._targets_px).norm(dim=1)
            parts = [numbers, points_px.flatten(), distances]
        else:
            poses = regions.poses(look.handles)
            per_px = self._grid.feature_size[0] / self._grid.image_size[0]
            distances = regions.distances(poses) / per_px
            places_px = self._grid.to_image(poses[:, :2])
            parts = [numbers, places_px.flatten(), distances, poses[:, 2:].flatten(), points_px]
        values = torch.cat([part.flatten() for part in parts]).cpu().numpy()
        if not np.isfinite(values).all():
            return None
        ends = np.cumsum([part.numel() for part in parts])[:-1]
        split = np.split(values, ends)
        places = split[1].reshape(-1, 2)
        return RowReport(
            loss=float(split[0][0]),
            settled=bool(split[0][1]),
            exhausted=bool(split[0][2]),
            strained=bool(split[0][3]),
            places_px=places,
            distances_px=split[2],
            turns=None if regions is None else angle_and_scale(split[3].reshape(-1, 2)),
            points_px=places if regions is None else split[4].reshape(-1, 2),
        )

    def _between(self) -> None:
        """Leave a step, between two of its passes, if the drag was stopped."""
        rows = len(self.record.losses)
        # A look at new points is completed: the last row would be one of other points.
        if not rows or rows > self.record.first:
            leave_if(self._should_stop)()

    def _add_start(self, on_step: Callable[[DragStep], None] | None) -> None:
        """Record the start of a drag that was stopped before its first look was completed."""
        start = self.record.start
        none = start.new_zeros(())
        look = Look(
            latent=start,
            handles=self._first_handles,
            loss=none,
            settled=none > 0,
            exhausted=none > 0,
        )
        report = self._report(look)
        assert report is not None, "the handles were checked"
        self.record.add(start, report)
        if on_step is not None:
            on_step(self.record.step(start))

    @staticmethod
    def _stopped(step: int) -> tuple[DragStatus, str]:
        return DragStatus.STOPPED, f"stopped by request at step {step}"

    def _ending(self, step: int, *, may_begin_anew: bool) -> tuple[DragStatus, str] | None:
        """Return the status and the reason if the drag ends at this step, else None.

        An exhausted method is asked to make another attempt first.
        """
        options, record = self._options, self.record
        at_limit = bool(options.max_steps) and record.latest_steps >= options.max_steps
        may_end = step >= self._least_steps and (record.settled or at_limit)
        if may_end and record.arrived_index(self._tolerance_px) is not None:
            distance = f"within {self._tolerance_px:g} px of its target"
            return DragStatus.REACHED, f"every handle is {distance} after {step} steps"
        if self._should_stop is not None and self._should_stop():
            return self._stopped(step)
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

    def change(self, status: DragStatus) -> Change:
        """Return the change of its pairs in the row that it ends with if it has a status."""
        row = self.record.last_index(status, self._tolerance_px)
        return change_at_end(
            self._generator,
            self._options,
            self._grid,
            self._pairs.known,
            self.record.points_px[row],
            self.record.latent(row),
            self._ground.canvas,
            self._between,
        )

    def result(self, status: DragStatus, reason: str, started: float) -> DragResult:
        """Return the result of ``drag``, which began at a time of ``time.monotonic``."""
        ended = EndedDrag(
            generator=self._generator,
            options=self._options,
            record=self.record,
            tolerance_px=self._tolerance_px,
            grid=self._grid,
            pairs=self._pairs,
            regions=self._regions,
            ground=self._ground,
            held=self._held,
            judged=self._judged,
            should_stop=self._should_stop,
        )
        result = result_of(ended, status, reason)
        return replace(result, seconds=time.monotonic() - started)

    def _not_finite(self, step: int) -> str:
        if not self.record.losses:
            raise RequestError("the model computes values that are not finite for this latent")
        text = f"the computed values overflowed at step {step}; {self.record.closest()}"
        return f"{text}; try a smaller step size or reach"
