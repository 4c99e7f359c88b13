# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps by least squares: the smallest change of the latent that moves each handle as wanted.

Motion supervision descends a loss, whose gradient says which way to go and not how far.  Here the
motion of the content at each handle is linearised as a function of the latent (``displacement``),
and a step is the least one, in the metric of the latent space, that moves every handle by its way:
Gauss and Newton's method with Levenberg's damping.  A drag then takes some steps instead of some
dozen, and what need not change hardly does.

A linearisation holds near where it was made.  How far a step may go is therefore limited, in
feature pixels for the handles and in the spread of W for the latent; both limits grow while steps
bring the handles nearer.  A step that does not is taken back, and tried again with the limits cut.
When next to nothing is left of them the method is exhausted: most often a handle's content was lost
from sight.  It then begins anew, once, with wider discs to find the handles by.

Handles are found again by tracking, around where the step should have brought them, and by what was
there after the step before as much as by what was there first: in a few large steps a place changes
its looks too much to be known by the first ones alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...features.source import USUAL_FEATURE_RESOLUTION, FeatureView
from ..latent_space import latent_space
from ..options import DragOptions
from ..principal import principal_components
from ..supervision import disc_offsets, steps_to_targets
from ..tracking import PointTracker
from .base import DragProblem, Look, track_from
from .displacement import SLOPE_REACH, motion_directions
from .least_squares import NormalEquations, conjugate_gradients

_DAMPING = 1e-2
_RETURN = 0.1
"""The part of the change so far that each step takes back, as far as no handle needs it: without,
the small errors of all steps would add up to an image that has wandered off."""
_LEAST_GAIN = 0.05
"""A step has brought the handles nearer if their root mean square distance is below the least so
far by this part of the limit, or of that distance itself where it is shorter: of what the step
could bring, so that a short step of a long way counts as well."""
_LIMIT_GROWTH = 1.5
_LIMIT_CUT = 0.5
_WELL_WITHIN = 0.3
"""The part of the tolerance within which a drag does not go on for the sake of accuracy."""
_MEMORY, _INERTIA = 1.0, 0.25
"""Of the tracking: on an outline, or where a place has changed its looks, much is as like as the
place itself, and the expected one is the best guess."""
_WIDER = 5 / 3
"""The tracking radius of a second attempt: what one size of disc loses, another often keeps."""
_EXHAUSTED = 1 / 20
"""The part of the reach at which it is not worth going on."""
_LARGEST_CHANGE = 0.5
"""How far a step of the full reach may move any layer's w, in units of W's spread: a handle on a
flat place, which nothing moves, would ask for any change."""
_HOLD = 2.0
"""Square feature pixels off their ways that handles are kept, all together, for a mean square
change of the fixed area by the features' own spread, at a mask weight of 1."""
_MASK_PASSES = 3
"""On the built-in model any number of them brings less than a hundredth more than three."""
_PROBE = 3e-4
"""How far w is moved, in units of its spread, to see what changes in the fixed area: further, and
the kinks of the network's activations are seen; less far, and the rounding of its numbers is."""


@dataclass(frozen=True)
class _Base:
    """A latent that steps start from, and what is known there.

    Attributes:
        coordinates: `rows x K` float32.
        handles: `P x 2` feature positions.
        references: `P x Q x C` float32, the features that the handles are found by from there.
        jacobian: `2 P x N` float32.
        difference: of the fixed area from the start, if there is one.
    """

    coordinates: Tensor
    handles: Tensor
    references: Tensor
    jacobian: Tensor
    difference: Tensor | None

    def unless(self, improved: Tensor, best: _Base | None) -> _Base:
        """This one if it has improved, else the best so far; decided on the device."""
        if best is None:
            return self
        difference = self.difference
        if difference is not None and best.difference is not None:
            difference = torch.where(improved, difference, best.difference)
        return _Base(
            torch.where(improved, self.coordinates, best.coordinates),
            torch.where(improved, self.handles, best.handles),
            torch.where(improved, self.references, best.references),
            torch.where(improved, self.jacobian, best.jacobian),
            difference,
        )


def _radius_of(options: DragOptions) -> int:
    """How far windows have to reach, feature pixels."""
    # Around the expected place, rounded: the search, and from there a disc and its slopes.
    return math.ceil(0.5 + options.r2 + max(options.r1 + SLOPE_REACH, options.tracking_radius))


class Linearised:
    """One drag by least-squares steps."""

    def __init__(self, problem: DragProblem) -> None:
        options, start = problem.options, problem.start
        self._problem = problem
        self._space = latent_space(
            options.latent_space, problem.generator, start, problem.layers, problem.origin
        )
        self._spread_of_w = principal_components(problem.generator).spread()
        self._offsets = disc_offsets(options.r1).to(start.device)
        self._radius = _radius_of(options)
        share = max(problem.source.grid.feature_size) / USUAL_FEATURE_RESOLUTION
        self._reach = options.linear_reach * share
        self._is_second = False
        self._spread: Tensor | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget all steps and stand at the start."""
        start = self._problem.start
        self._limit = start.new_full((), self._reach)
        self._least_error = start.new_full((), math.inf)
        self._improved = torch.ones((), dtype=torch.bool, device=start.device)
        self._handles = self._expected = self._problem.handles
        self._tracker: PointTracker | None = None
        self._view: FeatureView | None = None
        self._best: _Base | None = None

    def begin_anew(self) -> bool:
        """Try once more, with handles known by wider discs; see `DragMethod.begin_anew`."""
        wider = _WIDER * self._problem.options.tracking_radius
        # A drag that goes on from another stays near it, and does not look for another way.
        if self._is_second or not wider or self._problem.origin is not None:
            return False
        self._is_second = True
        options = replace(self._problem.options, tracking_radius=wider)
        self._problem = replace(self._problem, options=options)
        self._radius = _radius_of(options)
        with torch.no_grad():
            self._space.coordinates.zero_()
        self._begin()
        return True

    def look(self) -> Look:
        """Find the handles where the last step should have brought them; see `DragMethod.look`."""
        problem = self._problem
        latent = self._space.latent()
        view = problem.source.observe(latent, self._expected, self._radius)
        if self._tracker is None:
            self._tracker = track_from(
                problem, view.windows, renewal=1.0, memory=_MEMORY, inertia=_INERTIA
            )
        self._handles = self._tracker.track(view.windows, self._expected)
        error = (problem.targets - self._handles).square().sum(dim=1).mean()
        self._judge(error)
        self._view = view
        return Look(
            latent=latent.detach(),
            handles=self._handles,
            loss=error,
            settled=self._is_settled(),
            exhausted=self._limit < _EXHAUSTED * self._reach,
        )

    def _is_settled(self) -> Tensor:
        """Whether another step is not worth it: well within the tolerance, or no longer nearing."""
        problem = self._problem
        to_image = problem.source.grid.to_image
        ways_px = to_image(problem.targets) - to_image(self._handles)
        near_px = max(_WELL_WITHIN * problem.options.tolerance_px, problem.enough_px)
        is_near: Tensor = ways_px.norm(dim=1).max() <= near_px
        return is_near | ~self._improved

    def _judge(self, error: Tensor) -> None:
        """Set the limit of the next step by what the last one has brought."""
        grown = (self._limit * _LIMIT_GROWTH).clamp(max=self._reach)
        least = self._least_error.sqrt()
        self._improved = error.sqrt() < least - _LEAST_GAIN * torch.minimum(self._limit, least)
        self._limit = torch.where(self._improved, grown, self._limit * _LIMIT_CUT)
        self._least_error = torch.minimum(error, self._least_error)

    def update(self) -> None:
        """The least step from the best latent so far that brings every handle nearer."""
        assert self._view is not None and self._tracker is not None, "look comes before update"
        coordinates = self._space.coordinates
        difference = self._view.fixed_difference()
        with torch.no_grad():
            jacobian = self._jacobian(self._view)
            base = _Base(
                coordinates.clone(),
                self._handles,
                self._tracker.references,
                jacobian,
                None if difference is None else difference.detach(),
            )
            self._best = base = base.unless(self._improved, self._best)
            self._tracker.references = base.references
            wanted = steps_to_targets(base.handles, self._problem.targets, self._limit).flatten()
            normal = NormalEquations(
                base.jacobian,
                self._space.from_origin(base.coordinates).flatten(),
                damping=_DAMPING,
                taken_back=_RETURN,
            )
            change = normal.least_change(wanted)
            if difference is not None:
                change = change + self._held_back(normal, change, difference)
            change = self._shortened(change)
            moved = (base.jacobian @ change).reshape(-1, 2)
            self._expected = self._problem.source.grid.clamp(base.handles + moved)
            coordinates.copy_(base.coordinates + change.reshape(coordinates.shape))
        self._view = None

    def _jacobian(self, view: FeatureView) -> Tensor:
        """How the content at the handles moves with the coordinates.

        Returns:
            `2 P x N` float32, feature pixels for each unit of a coordinate; a handle's x before
            its y.
        """
        directions = motion_directions(view.windows, self._handles, self._offsets)
        rows = self._space.pull_back(view.pull_back_each(directions))
        return rows.transpose(0, 1).flatten(0, 1)

    def _shortened(self, change: Tensor) -> Tensor:
        """A change of the coordinates, `N`, or its part that no layer's w finds too large."""
        ways = self._space.change_of_w(change.reshape(self._space.coordinates.shape))
        largest = ways.square().mean(dim=1).max().sqrt()
        allowed = _LARGEST_CHANGE * self._spread_of_w * self._limit / self._reach
        return change * (allowed / largest.clamp(min=allowed))

    def _held_back(self, normal: NormalEquations, change: Tensor, difference: Tensor) -> Tensor:
        """What the fixed area adds to a change, `N`: `weight |R + A x|^2` is to be least as well.

        R is its difference from the start so far, A the derivative of that, taken where the latent
        is now, which after a step that is taken back is not quite the base.  Conjugate gradients
        need of A only its products: each pass is a forward pass (a finite difference) and a
        backward pass.

        Args:
            normal: the equations without the fixed area.
            change: their solution.
            difference: R, with gradient to the coordinates.
        """
        assert self._view is not None
        if self._spread is None:
            self._spread = self._view.fixed_spread().detach()
        coordinates = self._space.coordinates
        weight = self._problem.options.mask_weight * _HOLD / self._spread.square()

        def back(residue: Tensor) -> Tensor:
            (gradient,) = torch.autograd.grad(difference, coordinates, residue, retain_graph=True)
            return weight * gradient.flatten()

        def apply(direction: Tensor) -> Tensor:
            return normal.apply(direction) + back(self._fixed_change(difference, direction))

        # Without the fixed area nothing is left of the equations at their solution.
        assert self._best is not None and self._best.difference is not None
        residue = -back(self._best.difference + self._fixed_change(difference, change))
        return conjugate_gradients(apply, normal.solve, residue, _MASK_PASSES)

    def _fixed_change(self, difference: Tensor, direction: Tensor) -> Tensor:
        """`A x` for x of `N`: how the fixed area's difference changes along a direction."""
        coordinates = self._space.coordinates
        way = self._space.change_of_w(direction.reshape(coordinates.shape))
        length = way.square().mean(dim=1).max().sqrt()
        size = _PROBE * self._spread_of_w / (length + torch.finfo().tiny)
        here = coordinates.clone()
        coordinates += size * direction.reshape(coordinates.shape)
        none = self._expected[:0]
        there = self._problem.source.observe(self._space.latent(), none, 0).fixed_difference()
        coordinates.copy_(here)
        assert there is not None, "an area that is fixed stays fixed"
        return (there - difference) / size
