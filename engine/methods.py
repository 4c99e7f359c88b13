# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag methods: what is done with the features of one step.

The loop in ``drag`` owns the latent, the optimiser, the stopping rules and the record.  A method
sees windows of features and says two things: where the handles are now, and a loss whose gradient
moves them.  Another method is another class in `METHODS`.
"""

from __future__ import annotations

import math
from typing import Protocol

from torch import Tensor

from .drag_options import DragOptions
from .feature_source import FeatureGrid, FeatureView
from .supervision import disc_offsets, motion_supervision, steps_to_targets
from .tracking import PointTracker


class DragMethod(Protocol):
    """One drag by one method; made anew for each drag, so that nothing of an old one survives."""

    @property
    def radius(self) -> int:
        """How far around the last handles it reads features, whole feature pixels."""
        ...

    def begin(self, view: FeatureView, handles: Tensor) -> None:
        """Remember the start: the view of the first latent around `P x 2` handles."""
        ...

    def look(self, view: FeatureView, handles: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the features of one step, which were observed around `handles`.

        Args:
            handles: `P x 2` feature positions of the step before.
            targets: `P x 2` feature positions.

        Returns:
            The handles now, `P x 2`, and the loss, a scalar with gradient to the latent.
        """
        ...


class DragGan:
    """Pan et al., "Drag Your GAN": track on the new features, then supervise motion there."""

    def __init__(self, options: DragOptions, grid: FeatureGrid) -> None:
        self._options = options
        self._grid = grid
        self._offsets = disc_offsets(options.r1)
        self._tracker: PointTracker | None = None

    @property
    def radius(self) -> int:
        """The search window, and from its edge the disc and the step; one more to interpolate."""
        options = self._options
        return math.ceil(options.r2 + options.r1 + options.step_length) + 1

    def begin(self, view: FeatureView, handles: Tensor) -> None:
        """Take the handles' initial features as what to track."""
        references = view.windows.sample(handles[:, None])[:, 0]
        self._tracker = PointTracker(references, self._grid, self._options.r2)
        self._offsets = self._offsets.to(handles.device)

    def look(self, view: FeatureView, handles: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Track, then the loss at the tracked handles; see `DragMethod.look`."""
        assert self._tracker is not None, "begin comes before look"
        windows = view.windows
        found = self._tracker.track(windows, handles)
        steps = steps_to_targets(found, targets, self._options.step_length)
        return found, motion_supervision(windows, found, steps, self._offsets)


METHODS: dict[str, type[DragGan]] = {"draggan": DragGan}
"""Every method, by the names in `drag_options.METHOD_NAMES`."""
