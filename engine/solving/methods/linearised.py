# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps by least squares: the smallest change of the latent that moves each handle as wanted.

This is the method that the interface calls *Least Squares*. Its identifier, ``linearised``, is
stored in files.

Motion supervision descends a loss, whose gradient gives a direction but not a distance. Here the
motion of the content at each handle is linearised as a function of the latent (see
``displacement``). A step is the smallest one, in the metric of the latent space, that moves every
handle by the wanted vector: the Gauss-Newton method with Levenberg's damping. A drag then takes a
few steps instead of several dozen. With the spaces ``automatic`` and ``by_hand`` the metric also
counts what a step does to the picture away from the handles (see ``price``).

A linearisation is valid only near the latent that it was computed at. The length of a step is
therefore limited, in feature pixels for the handles and in units of the spread of W for the latent.
Both limits grow while steps bring the handles closer. A step that does not is reverted and repeated
with smaller limits. When the limits are close to zero, the method is exhausted: usually, tracking
has lost a handle. The method then makes one more attempt from the start, with a larger tracking
radius.

Handles are tracked around the positions to which a step should have moved them, and by the features
of the previous step as much as by those of the start: in a few large steps the appearance of a
point changes too much to find it by the features of the start alone.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...features.source import USUAL_FEATURE_RESOLUTION, FeatureView, Windows, feature_block
from ..latent_space import latent_space
from ..options import DragOptions
from ..points import PointChange
from ..principal import principal_components
from ..structure import SLOPE_REACH, feature_spread
from ..supervision import disc_offsets, steps_to_targets
from ..tracking import PointTracker
from .base import DragProblem, Look, track_from
from .displacement import motion_directions
from .least_squares import DAMPING, NormalEquations, conjugate_gradients
from .looks import looks_of, weights_of_looks
from .price import Price
from .step_base import StepBase

# A step has brought the handles closer if their root mean square distance is below the smallest so
# far by this share of the limit, or of that distance itself if it is shorter than the limit. The
# gain is thus compared with what the step could achieve, and a short step on a long path counts.
_LEAST_GAIN = 0.05
# Factors of the limits after a step that brought the handles closer, and after one that did not.
_LIMIT_GROWTH = 1.5
_LIMIT_CUT = 0.5
# Within this share of the tolerance a drag does not continue to become more accurate.
_WELL_WITHIN = 0.3
# The memory and inertia of the tracker. On an outline, or where the appearance of a point has
# changed, many positions match about as well as the right one, and the expected one is the best
# guess.
_MEMORY, _INERTIA = 1.0, 0.25
# The factor of the tracking radius in the second attempt. A point that is lost with a disc of one
# size is often kept with another.
_WIDER = 5 / 3
# Below this share of the reach, the limit is too small to continue.
_EXHAUSTED = 1 / 20
# With other points or targets the limit is at least this share of the reach: that a step did not
# bring the handles closer to the old targets says little about the new ones.
_RENEWED = 1 / 4
# The largest root mean square change of any layer's w in a step at the full reach, in units of the
# spread of W. A handle in a uniform area, which no change moves, would ask for any change.
_LARGEST_CHANGE = 0.5
# The weight of the fixed area at a mask weight of 1: a root mean square change of its features by
# their spread weighs as much as this many square feature pixels by which all handles together miss
# their wanted displacements.
_HOLD = 2.0
# Passes of conjugate gradients. On the built-in model, any number of further passes improves the
# result by less than a hundredth.
_MASK_PASSES = 3
# How far w is moved for finite differences of the fixed area, in units of the spread of W. Larger
# values cross the kinks of the activations, smaller ones measure rounding.
_PROBE = 3e-4


def _fitted(options: DragOptions, share: float) -> DragOptions:
    """Return options with discs that are as wide in the picture on a smaller map.

    Args:
        options: The options of the drag; their radii are for a map of the usual size.
        share: The size of the map by the usual one; a larger map changes nothing.
    """
    share = min(1.0, share)
    # What is looked for must have some pixels, or many places look like it.
    tracked = options.tracking_radius * math.sqrt(share)
    return replace(options, r1=options.r1 * share, tracking_radius=tracked)


def _radius_of(options: DragOptions) -> int:
    """Return how far windows must extend around the expected positions, feature pixels."""
    # The rounding of the position, the search, and around its edge a disc and its slopes.
    return math.ceil(0.5 + options.r2 + max(options.r1, options.tracking_radius) + SLOPE_REACH)


class Linearised:
    """One drag by least-squares steps."""

    def __init__(self, problem: DragProblem) -> None:
        share = max(problem.source.grid.feature_size) / USUAL_FEATURE_RESOLUTION
        problem = replace(problem, options=_fitted(problem.options, share))
        options, start = problem.options, problem.start
        self._problem = problem
        self._space = latent_space(
            options.latent_space,
            problem.generator,
            start,
            problem.num_layers,
            problem.origin,
            problem.locked,
        )
        self._spread_of_w = principal_components(problem.generator).spread()
        self._offsets = disc_offsets(options.r1).to(start.device)
        self._radius = _radius_of(options)
        self._block = feature_block(problem.generator, options.feature_resolution)
        self._reach = options.linear_reach * share
        self._is_second = False
        self._spread: Tensor | None = None
        self._price = Price(problem, self._space)
        # Whether somebody has moved the points since the drag began.
        self._is_live = False
        self._begin()

    def _begin(self) -> None:
        """Reset everything that depends on earlier steps, except the coordinates."""
        start = self._problem.start
        self._limit = start.new_full((), self._reach)
        self._least_error = start.new_full((), math.inf)
        self._improved = torch.ones((), dtype=torch.bool, device=start.device)
        self._handles = self._expected = self._problem.handles
        self._tracker: PointTracker | None = None
        self._view: FeatureView | None = None
        self._best: StepBase | None = None
        self._change: PointChange | None = None

    def replace(self, change: PointChange) -> None:
        """Go on with other handles and targets; see ``base.DragMethod.replace``."""
        # Two changes without a look between them: the second would refer to what no look has seen.
        assert self._change is None, "a look comes between two changes"
        self._is_live = True
        if change.is_same:
            self._retarget(change)
        else:
            self._change = change

    def begin_anew(self) -> bool:
        """Make a second attempt with a larger tracking radius; see ``DragMethod.begin_anew``."""
        wider = _WIDER * self._problem.options.tracking_radius
        # A drag that continues an earlier one must stay near it and makes no second attempt.
        if self._is_second or not wider or self._problem.origin is not None:
            return False
        self._is_second = True
        self._price.forget(is_second=True)
        options = replace(self._problem.options, tracking_radius=wider)
        self._problem = replace(self._problem, options=options)
        self._radius = _radius_of(options)
        with torch.no_grad():
            self._space.coordinates.zero_()
        self._begin()
        return True

    def look(self) -> Look:
        """Track the handles around their expected positions; see ``base.DragMethod.look``."""
        change, self._change = self._change, None
        if change is not None:
            self._take_over(change)
        problem = self._problem
        latent = self._space.latent()
        view = problem.source.observe(latent, self._expected, self._radius)
        if self._tracker is None:
            self._tracker = track_from(
                problem, view.windows, renewal=1.0, memory=_MEMORY, inertia=_INERTIA
            )
        elif change is not None:
            self._tracker.replace(change, view.windows, self._expected)
        self._handles = self._tracked(view.windows)
        error = self._error(self._handles)
        self._judge(error)
        self._view = view
        return Look(
            latent=latent.detach(),
            handles=self._handles,
            loss=error,
            settled=self._is_settled(),
            exhausted=self._limit < _EXHAUSTED * self._reach,
            strained=self._price.strained,
        )

    def _error(self, handles: Tensor) -> Tensor:
        """Return the mean square distance of handles from the targets, a scalar."""
        regions = self._problem.regions
        if regions is not None:
            return regions.error(regions.poses(handles))
        error: Tensor = (self._problem.targets - handles).square().sum(dim=1).mean()
        return error

    def _tracked(self, windows: Windows) -> Tensor:
        """Find the handles around their expected positions; the points of regions as one."""
        assert self._tracker is not None
        tracker, regions = self._tracker, self._problem.regions
        if regions is None:
            # What a drag whose points are moved ends with depends on when they are anyway.
            return tracker.track(windows, self._expected, quick=self._is_live)
        return tracker.track_regions(windows, self._expected, regions)

    def _take_over(self, change: PointChange) -> None:
        """Go on with other handles from the present latent, whether or not it is the best."""
        handles = change.carry(self._handles, change.handles)
        self._expected = change.carry(self._expected, change.handles)
        self._problem = replace(
            self._problem,
            handles=handles,
            targets=change.targets,
            paths=change.paths,
            regions=change.regions,
            shares=change.shares,
            source=change.source or self._problem.source,
        )
        self._price.forget()
        self._least_error = torch.full_like(self._least_error, math.inf)
        self._limit = self._limit.clamp(min=_RENEWED * self._reach)
        self._best = None

    def _retarget(self, change: PointChange) -> None:
        """Go on to other targets, after the last step was judged by those that it was made for."""
        self._problem = replace(
            self._problem, targets=change.targets, paths=change.paths, regions=change.regions
        )
        self._price.forget()
        error = self._error(self._handles)
        self._least_error = error
        if self._best is not None:
            # A step that was no improvement is taken back: what the next one is compared with.
            best = self._error(self._best.handles)
            self._least_error = torch.where(self._improved, error, best)
        self._limit = self._limit.clamp(min=_RENEWED * self._reach)

    def _is_settled(self) -> Tensor:
        """Return whether no further step is needed: well within the tolerance, or not improving."""
        problem, regions = self._problem, self._problem.regions
        grid = problem.source.grid
        near_px = max(_WELL_WITHIN * problem.options.tolerance_px, problem.enough_px)
        if regions is None:
            rest_px = (grid.to_image(problem.targets) - grid.to_image(self._handles)).norm(dim=1)
        else:
            rest = regions.distances(regions.poses(self._handles))
            rest_px = rest * (grid.image_size[0] / grid.feature_size[0])
        is_near: Tensor = rest_px.max() <= near_px
        return is_near | ~self._improved

    def _judge(self, error: Tensor) -> None:
        """Set the limit of the next step, depending on whether the last one was an improvement.

        Args:
            error: The mean square distance of the handles from their targets, a scalar.
        """
        grown = (self._limit * _LIMIT_GROWTH).clamp(max=self._reach)
        least = self._least_error.sqrt()
        self._improved = error.sqrt() < least - _LEAST_GAIN * torch.minimum(self._limit, least)
        self._limit = torch.where(self._improved, grown, self._limit * _LIMIT_CUT)
        self._least_error = torch.minimum(error, self._least_error)

    def update(self) -> None:
        """Make the smallest step from the best latent so far that moves every handle closer."""
        assert self._view is not None and self._tracker is not None, "look comes before update"
        coordinates = self._space.coordinates
        difference = self._view.fixed_difference()
        with torch.no_grad():
            base = StepBase(
                coordinates.clone(),
                self._handles,
                self._tracker.references,
                *self._derivatives(self._view),
                None if difference is None else difference.detach(),
            )
            self._best = base = base.unless(self._improved, self._best)
            self._tracker.references = base.references
            price, is_masked = self._price, difference is not None
            is_only = self._is_live or self._problem.origin is not None
            price.choose(self._problem, is_masked=is_masked, is_only=is_only)
            rows, wanted = self._equations(base)
            # Nobody waits for each step of a drag whose points stay as they are.
            by_picture = not self._is_live and not is_masked
            back = price.part_to_revert(self._problem, base.coordinates, by_picture=by_picture)
            normal = NormalEquations(rows, back, damping=DAMPING, metric=price.metric)
            change = normal.least_change(wanted)
            if difference is not None:
                change = change + self._held_back(normal, change, difference)
            change = price.held_together(change, base.coordinates, rows, wanted)
            change = self._shortened(change)
            moved = (base.jacobian @ change).reshape(-1, 2)
            expected = self._problem.source.grid.clamp(base.handles + moved)
            if self._problem.regions is not None:
                expected = self._carried(expected)
            self._expected = expected
            coordinates.copy_(base.coordinates + change.reshape(coordinates.shape))
        self._view = None

    def _carried(self, points: Tensor) -> Tensor:
        """Return the points of regions, ``P x 2``, where their regions carry them."""
        regions = self._problem.regions
        assert regions is not None
        return self._problem.source.grid.clamp(regions.points(regions.poses(points)))

    def _equations(self, base: StepBase) -> tuple[Tensor, Tensor]:
        """Return J, ``M x N``, and what it should cause, ``M``, in a step from a base."""
        regions, targets = self._problem.regions, self._problem.targets
        if regions is None:
            rows = base.jacobian
            wanted = steps_to_targets(base.handles, targets, self._limit).flatten()
            shares = self._problem.shares
            if shares is not None:
                # Relative to the largest: a handle that is alone asks for all of its way.
                each = (shares / shares.max()).repeat_interleave(2)
                rows, wanted = each[:, None] * rows, each * wanted
            if base.looks is None or base.changed is None:
                return rows, wanted
            ways = (targets - base.handles).norm(dim=1)
            each = weights_of_looks(ways, self._reach, self._problem.looks_fade).repeat(2)
            looks, kept = each[:, None] * base.looks, -each * base.changed
            return torch.cat([rows, looks]), torch.cat([wanted, kept])
        poses = regions.poses(base.handles)
        change = regions.on_the_way(poses, self._limit) - poses
        return regions.rows(base.jacobian), regions.lengths(change)

    def _derivatives(self, view: FeatureView) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the derivatives of the handles' positions with respect to the coordinates.

        Returns:
            ``2 P x N`` float32, feature pixels per unit of a coordinate; for each handle the row of
            x before that of y. And ``looks`` and ``changed`` of ``StepBase``.
        """
        problem = self._problem
        directions = motion_directions(view.windows, self._handles, self._offsets)
        # The looks of regions turn with them.
        if not problem.is_part or problem.regions is not None:
            rows = self._space.pull_back(view.pull_back_each(directions))
            return rows.transpose(0, 1).flatten(0, 1), None, None
        assert self._tracker is not None
        spread = feature_spread(problem.generator, self._block)
        patch, first = self._tracker.patch, self._tracker.first
        factors, numbers = looks_of(view.windows, self._handles, patch, first, spread)
        rows = self._space.pull_back(view.pull_back_each(torch.cat([directions, factors])))
        moves, looks = rows[:2].transpose(0, 1), rows[2:]
        return moves.flatten(0, 1), looks.flatten(0, 1), numbers.flatten()

    def _shortened(self, change: Tensor) -> Tensor:
        """Return a change of the coordinates, ``N``, scaled so that no w changes too much."""
        changes = self._space.change_of_w(change.reshape(self._space.coordinates.shape))
        largest = changes.square().mean(dim=1).max().sqrt()
        allowed = _LARGEST_CHANGE * self._spread_of_w * self._limit / self._reach
        return change * (allowed / largest.clamp(min=allowed))

    def _held_back(self, normal: NormalEquations, change: Tensor, difference: Tensor) -> Tensor:
        """Return the correction of a change, ``N``, that also keeps the fixed area.

        It adds the term ``weight |R + A x|^2`` to the least squares. R is the change of the fixed
        area at the base, and A its derivative at the current latent, which is not exactly the base
        if a step is reverted. Conjugate gradients need only products with A: each pass is one
        forward pass (a finite difference) and one backward pass.

        Args:
            normal: The normal equations without the fixed area.
            change: Their solution, ``N``.
            difference: The change of the fixed area at the current latent, with a gradient to the
                coordinates.
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

        # ``change`` solves the equations without the fixed area: only its term leaves a residue.
        assert self._best is not None and self._best.difference is not None
        residue = -back(self._best.difference + self._fixed_change(difference, change))
        return conjugate_gradients(apply, normal.solve, residue, _MASK_PASSES)

    def _fixed_change(self, difference: Tensor, direction: Tensor) -> Tensor:
        """Return ``A x``, the derivative of the fixed area's change along x, by a difference.

        Args:
            difference: The change of the fixed area at the current latent.
            direction: x, a direction of the coordinates, ``N``.
        """
        coordinates = self._space.coordinates
        change = self._space.change_of_w(direction.reshape(coordinates.shape))
        length = change.square().mean(dim=1).max().sqrt()
        size = _PROBE * self._spread_of_w / (length + torch.finfo().tiny)
        here = coordinates.clone()
        coordinates += size * direction.reshape(coordinates.shape)
        no_points = self._expected[:0]
        there = self._problem.source.observe(self._space.latent(), no_points, 0).fixed_difference()
        coordinates.copy_(here)
        assert there is not None, "a source with a fixed area keeps it"
        return (there - difference) / size
