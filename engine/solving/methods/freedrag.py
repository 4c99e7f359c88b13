# SPDX-License-Identifier: GPL-3.0-or-later
"""FreeDrag: search points that advance to the targets, with templates that adapt.

Ling et al., "FreeDrag: Feature Dragging for Reliable Point-based Image Editing" (2023; CVPR 2024).

No point is tracked. Each handle is a search point on the straight line to its target, with a
template: the features that should appear there. A drag is a sequence of sub-motions, each of a few
steps of Adam:

- Within a sub-motion, the latent changes until the features at the search points match the
  templates.
- At its end, each template takes on a share of the features at its search point, the larger the
  better they match (section 3.2). Each search point then moves on to where the features differ from
  the template by as much as one sub-motion can correct, or waits, or moves back and searches for
  the template (section 3.3; see ``line_search``).

In the following points the published code differs from the paper, and this follows the code: a
patch has 3 x 3 samples, which are compared one by one; the difference is the mean absolute one; a
sub-motion ends below a quarter of the expected loss; and the template of a handle that has arrived
is replaced by the features there.

The expected loss of 0.3 was chosen for NVIDIA's networks, whose demodulated layers have outputs of
standard deviation 1 by construction (Karras et al., "Analyzing and Improving the Image Quality of
StyleGAN", section 2.2). The features of other networks have other scales, so the expected loss is
multiplied by the spread of the features in the image that the drag starts from.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...features.source import USUAL_FEATURE_RESOLUTION, FeatureView, Windows
from ..points import PointChange
from .base import DragProblem, Look
from .descent import Descent
from .line_search import choose_candidates, template_share, way_points

# Half-width of a patch, feature pixels: the value of the published code for images of 512 px.
_PATCH = 0.75

# The largest number of steps in a sub-motion.
_SUB_MOTION_STEPS = 5
# Below this share of the expected loss a sub-motion ends, and a handle near its target has arrived.
_CLOSE = 0.25

# The least distance and spread, against division by zero.
_SHORTEST = 1e-6

# The published mask weight is 10; the option ``mask_weight`` is DragGAN's, which is 20.
_MASK_SHARE = 0.5


class FreeDrag:
    """One drag with FreeDrag."""

    def __init__(self, problem: DragProblem) -> None:
        options = problem.options
        device = problem.start.device
        self._problem = problem
        self._descent = Descent(problem, mask_share=_MASK_SHARE)
        share = max(problem.source.grid.feature_size) / USUAL_FEATURE_RESOLUTION
        self._distance = options.sub_motion_distance * share
        self._radius = math.ceil(self._distance + _PATCH) + 1
        line = torch.tensor([-_PATCH, 0.0, _PATCH])
        self._patch = torch.cartesian_prod(line, line).to(device)
        self._handles = problem.handles
        self._directions = _directions(problem)
        self._templates: Tensor | None = None
        self._change: PointChange | None = None
        # As if a sub-motion had just ended with losses of zero, so that the first look begins one.
        self._first_losses = torch.zeros(len(problem.handles), device=device)
        self._steps = torch.full((), _SUB_MOTION_STEPS, device=device)
        self._settled = torch.zeros((), dtype=torch.bool, device=device)
        self._expected = torch.zeros((), device=device)
        self._loss: Tensor | None = None

    def look(self) -> Look:
        """Begin the next sub-motion if one has ended; see ``base.DragMethod.look``."""
        latent = self._descent.latent()
        view = self._problem.source.observe(latent, self._handles, self._radius)
        with torch.no_grad():
            if self._templates is None:
                self._begin(view)
            elif self._change is not None:
                self._templates = self._change.carry(self._templates, self._patches(view.windows))
            self._change = None
            self._move_search_points(view.windows)
        loss = self._losses(view.windows).sum()
        self._loss = loss + self._descent.restraint(view)
        return Look(
            latent=latent.detach(),
            handles=self._handles,
            loss=self._loss.detach(),
            settled=self._settled,
            exhausted=torch.zeros_like(self._settled),
        )

    def replace(self, change: PointChange) -> None:
        """Go on with other search points and targets; see ``base.DragMethod.replace``."""
        self._handles = change.carry(self._handles, change.handles)
        self._problem = replace(
            self._problem,
            handles=self._handles,
            targets=change.targets,
            source=change.source or self._problem.source,
        )
        self._directions = _directions(self._problem)
        if not change.is_same:
            # As at the start: the next look ends the sub-motion, and begins one of all points.
            self._first_losses = torch.zeros(len(self._handles), device=self._handles.device)
            self._steps = torch.full_like(self._steps, _SUB_MOTION_STEPS)
        self._change = change

    def begin_anew(self) -> bool:
        """Return False: there is only one attempt."""
        return False

    def update(self) -> None:
        """Make one step of Adam that brings the features at the search points to the templates."""
        assert self._loss is not None, "look comes before update"
        self._descent.step(self._loss)
        self._steps = self._steps + 1
        self._loss = None

    def _begin(self, view: FeatureView) -> None:
        self._templates = self._patches(view.windows)
        spread = view.spread().clamp(min=_SHORTEST)
        self._expected = self._problem.options.sub_motion_loss * spread

    def _patches(self, windows: Windows) -> Tensor:
        """Return the features around the search points, ``P x 9 x C``."""
        return windows.sample(self._handles[:, None] + self._patch)

    def _losses(self, windows: Windows) -> Tensor:
        """Return the mean absolute difference of each search point from its template, ``P``."""
        assert self._templates is not None
        return (self._patches(windows) - self._templates).abs().mean(dim=(1, 2))

    def _move_search_points(self, windows: Windows) -> None:
        """If a sub-motion has ended, update the templates and then the search points.

        All decisions are made on the device. Values that are not needed are computed as well, which
        costs less than waiting for the device.
        """
        assert self._templates is not None
        losses, expected = self._losses(windows), self._expected
        is_over = (self._steps >= _SUB_MOTION_STEPS) | (
            (self._steps > 0) & (losses.max() < _CLOSE * expected)
        )
        has_arrived = self._has_arrived(losses)
        share = torch.where(has_arrived, 1.0, template_share(losses, expected))[:, None, None]
        templates = self._templates.lerp(self._patches(windows), share)
        self._templates = torch.where(is_over, templates, self._templates)
        moves = is_over & ~has_arrived
        found = self._search(windows, losses)
        self._handles = torch.where(moves[:, None], found, self._handles)
        self._first_losses = torch.where(is_over, self._losses(windows), self._first_losses)
        self._steps = torch.where(is_over, 0, self._steps)
        self._settled = has_arrived.all()

    def _has_arrived(self, losses: Tensor) -> Tensor:
        """Return ``P`` bool: whether a handle is at its target, with features like its template."""
        grid = self._problem.source.grid
        rest_px = grid.to_image(self._problem.targets) - grid.to_image(self._handles)
        is_near: Tensor = rest_px.norm(dim=1) <= self._problem.options.tolerance_px
        return is_near & (losses <= _CLOSE * self._expected)

    def _search(self, windows: Windows, losses: Tensor) -> Tensor:
        """Return the next search points, ``P x 2``, depending on how the sub-motion ended."""
        assert self._templates is not None
        advances = losses < 0.5 * self._expected
        falls_back = ~advances & (losses >= self._first_losses)
        targets, grid = self._problem.targets, self._problem.source.grid
        points = grid.clamp(
            way_points(self._handles, targets, self._directions, self._distance, falls_back)
        )
        around = points[:, :, None] + self._patch
        patches = windows.sample(around.flatten(1, 2)).reshape(*around.shape[:3], -1)
        differences = (patches - self._templates[:, None]).abs().mean(dim=(2, 3))
        wanted = torch.where(falls_back, 0.0, self._expected)
        found = choose_candidates(points, differences, wanted)
        return torch.where((advances | falls_back)[:, None], found, self._handles)


def _directions(problem: DragProblem) -> Tensor:
    """Return the unit vector from each handle to its target, ``P x 2``."""
    path = problem.targets - problem.handles
    directions: Tensor = path / path.norm(dim=1, keepdim=True).clamp(min=_SHORTEST)
    return directions
