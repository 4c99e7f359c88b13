# SPDX-License-Identifier: GPL-3.0-or-later
"""DragGAN: motion supervision and point tracking (Pan et al., "Drag Your GAN", section 3).

A step is one forward and one backward pass, in the order of the paper: compute the features of the
latent, find the handles in *these* features, compute the loss at the handles just found and its
gradient, and make a step of Adam. Tracking in the features from before the update, a common
mistake, lags one step behind and needs a second forward pass.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..points import PointChange
from ..supervision import disc_offsets, motion_supervision, steps_to_targets
from ..tracking import PointTracker
from .base import DragProblem, Look, track_from
from .descent import Descent


class DragGan:
    """One drag with DragGAN."""

    def __init__(self, problem: DragProblem) -> None:
        options = problem.options
        self._problem = problem
        self._descent = Descent(problem)
        self._offsets = disc_offsets(options.r1).to(problem.start.device)
        # The search window, and around its edge a disc and the step; windows start at whole pixels.
        reach = max(options.r1 + options.step_length, options.tracking_radius)
        self._radius = math.ceil(options.r2 + reach + 0.5)
        self._handles = problem.handles
        self._tracker: PointTracker | None = None
        self._loss: Tensor | None = None
        self._change: PointChange | None = None

    def look(self) -> Look:
        """Track the handles in the features of the latent; see ``base.DragMethod.look``."""
        problem, options = self._problem, self._problem.options
        latent = self._descent.latent()
        view = problem.source.observe(latent, self._handles, self._radius)
        windows = view.windows
        if self._tracker is None:
            self._tracker = track_from(problem, windows)
        elif self._change is not None:
            self._tracker.replace(self._change, windows, self._handles)
        self._change = None
        self._handles = self._tracker.track(windows, self._handles)
        steps = steps_to_targets(self._handles, problem.targets, options.step_length)
        loss = motion_supervision(windows, self._handles, steps, self._offsets)
        self._loss = loss + self._descent.restraint(view)
        settled = torch.ones((), dtype=torch.bool, device=latent.device)
        return Look(
            latent=latent.detach(),
            handles=self._handles,
            loss=self._loss.detach(),
            settled=settled,
            exhausted=~settled,
        )

    def replace(self, change: PointChange) -> None:
        """Go on with other handles and targets; see ``base.DragMethod.replace``."""
        self._handles = change.carry(self._handles, change.handles)
        self._problem = replace(
            self._problem,
            handles=self._handles,
            targets=change.targets,
            source=change.source or self._problem.source,
        )
        self._change = change

    def begin_anew(self) -> bool:
        """Return False: there is only one attempt."""
        return False

    def update(self) -> None:
        """Descend the loss of the last look."""
        assert self._loss is not None, "look comes before update"
        self._descent.step(self._loss)
        self._loss = None
