# SPDX-License-Identifier: GPL-3.0-or-later
"""Ling et al., "FreeDrag: Feature Dragging for Reliable Point-based Image Editing" (CVPR 2024).

No point is tracked.  Each handle is a search point on the straight way to its target, with a
template of what is to be seen there, and the drag is a row of sub-motions of a few steps of Adam:

- within one, the latent is changed until the features at the search points are the templates';
- at its end each template takes on as much of what is there now as the two agree (section 3.2), and
  each search point goes on to where the template is about as far off as one sub-motion can bridge,
  waits, or goes back and looks for the template again (section 3.3; see ``line_search``).

Where paper and published code differ, this is the code: a patch of 3 x 3 samples that are kept
apart, the mean absolute difference, the end of a sub-motion at a quarter of the expected loss, and
the template of a handle that has arrived replaced by what is there.

The expected loss, 0.3, was chosen for the features of NVIDIA's networks, whose demodulated layers
have outputs of standard deviation 1 by construction (Karras et al., "Analyzing and Improving the
Image Quality of StyleGAN", section 2.2).  Other features are larger or smaller as a whole, so that
all losses are compared with it in units of their own spread in the image that the drag starts from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...features.source import USUAL_FEATURE_RESOLUTION, FeatureView, Windows
from .base import DragProblem, Look
from .descent import Descent
from .line_search import choose_candidates, template_share, way_points

_PATCH = 0.75
"""Half-width of a patch, feature pixels: what the published code has for images of 512 px."""

_SUB_MOTION_STEPS = 5
_CLOSE = 0.25
"""A sub-motion is over, and a handle has arrived, below this part of the expected loss."""

_SHORTEST = 1e-6
"""Ways and spreads below this are none."""

_MASK_SHARE = 0.5
"""The published weight of the mask is 10, where DragGAN's, for which the option stands, is 20."""


class FreeDrag:
    """One drag by templates that adapt, and search points that go forth and back."""

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
        way = problem.targets - problem.handles
        self._directions = way / way.norm(dim=1, keepdim=True).clamp(min=_SHORTEST)
        self._templates: Tensor | None = None
        # As if a sub-motion had just ended, with nothing left to do: the first one begins.
        self._first_losses = torch.zeros(len(problem.handles), device=device)
        self._steps = torch.full((), _SUB_MOTION_STEPS, device=device)
        self._settled = torch.zeros((), dtype=torch.bool, device=device)
        self._expected = torch.zeros((), device=device)
        self._loss: Tensor | None = None

    def look(self) -> Look:
        """Begin another sub-motion if one has ended; see `DragMethod.look`."""
        latent = self._descent.latent()
        view = self._problem.source.observe(latent, self._handles, self._radius)
        with torch.no_grad():
            if self._templates is None:
                self._begin(view)
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

    def begin_anew(self) -> bool:
        """There is no other way; see `DragMethod.begin_anew`."""
        return False

    def update(self) -> None:
        """Bring the features at the search points nearer to the templates."""
        assert self._loss is not None, "look comes before update"
        self._descent.step(self._loss)
        self._steps = self._steps + 1
        self._loss = None

    def _begin(self, view: FeatureView) -> None:
        self._templates = self._patches(view.windows)
        spread = view.spread().clamp(min=_SHORTEST)
        self._expected = self._problem.options.sub_motion_loss * spread

    def _patches(self, windows: Windows) -> Tensor:
        """The features `P x 9 x C` around the search points."""
        return windows.sample(self._handles[:, None] + self._patch)

    def _losses(self, windows: Windows) -> Tensor:
        """How far each search point is from its template, `P`: mean absolute difference."""
        assert self._templates is not None
        return (self._patches(windows) - self._templates).abs().mean(dim=(1, 2))

    def _move_search_points(self, windows: Windows) -> None:
        """If a sub-motion has ended: new templates, then new search points by them.

        Decided on the device, as everything is: what does not come to pass is computed for nothing,
        which costs less than to ask.
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
        """`P` bool: near to the target, and showing there what the template has."""
        grid = self._problem.source.grid
        way_px = grid.to_image(self._problem.targets) - grid.to_image(self._handles)
        is_near: Tensor = way_px.norm(dim=1) <= self._problem.options.tolerance_px
        return is_near & (losses <= _CLOSE * self._expected)

    def _search(self, windows: Windows, losses: Tensor) -> Tensor:
        """Where the next sub-motion's search points are, `P x 2`, by how the last has ended."""
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
