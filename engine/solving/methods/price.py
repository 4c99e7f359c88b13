# SPDX-License-Identifier: GPL-3.0-or-later
"""What a least-squares step costs, what it reverts, and how far it may lead.

The price is that of ``engine.solving.freedom`` in the spaces ``automatic`` and ``by_hand``, and
that of ``engine.solving.layer_cost`` inside an exact mask; in other spaces all changes cost the
same. The strain limits how far changes lead in the first two spaces only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..cost import Cost
from ..freedom import (
    LOCAL,
    SPACES_WITH_FREEDOM,
    SURE,
    Metric,
    chosen_freedom,
    metric_of,
    weight_of_picture,
)
from ..latent_space import LatentSpace
from ..layer_cost import LayerCost
from ..picture import Away, Slopes, coarse_picture, seen_away, slopes_of_picture
from ..principal import principal_components
from ..strain import Strain
from .base import DragProblem
from .least_squares import DAMPING, NormalEquations

# The share of the change so far that each step reverts, except where a handle needs it. Without it,
# the small errors of all steps would add up and change the image more than the handles require.
RETURN = 0.1
# The share of what has changed in the picture away from the handles that a step reverts.
_RETURN_SEEN = 0.3
# The freedom of the second attempt with a single handle, as a share of the first one: what a part
# cannot do, a pose may. Where several handles say what stays, they mean a part.
_SECOND_FREEDOM = 0.4
# A step of which less than this is left is one that was cut short. After one, the limits of steps
# are smaller, and the next steps may not be.
_CUT_SHORT, _RECENT = 0.5, 6


class Price:
    """The price of the changes of one drag."""

    def __init__(self, problem: DragProblem, space: LatentSpace) -> None:
        """Compute nothing yet: the first step is made for certain targets."""
        start = problem.start
        self._space = space
        # None where every change costs the same.
        self.metric: Cost | None = None
        self._is_chosen = self._is_second = False
        self._slopes: Slopes | None = None
        # The coarse picture of the origin, which the change so far is counted from.
        self._before: Tensor | None = None
        self._away: Away | None = None
        self._strain: Strain | None = None
        self._freedom = start.new_zeros(())
        # How many steps ago the strain has cut a step short.
        self._cut_ago = start.new_full((), math.inf)

    def forget(self, *, is_second: bool = False) -> None:
        """Choose the metric anew at the next step: the points or targets are others.

        Args:
            is_second: Whether it is that of a second attempt, from now on.
        """
        self._is_chosen = False
        self._is_second |= is_second

    @property
    def strained(self) -> Tensor:
        """Whether one of the last steps was cut short, a scalar bool."""
        return self._cut_ago < _RECENT

    def choose(self, problem: DragProblem, *, is_masked: bool, is_only: bool) -> None:
        """Choose the metric for the way to the present targets, unless that was done.

        Args:
            problem: The drag, with its present points.
            is_masked: Whether a mask fixes a part of the image.
            is_only: Whether no second attempt follows if the handles stop before their targets.
        """
        if not self._is_chosen:
            self.metric = self._chosen(problem, is_masked=is_masked, is_only=is_only)
            self._is_chosen = True

    def _chosen(self, problem: DragProblem, *, is_masked: bool, is_only: bool) -> Cost | None:
        if problem.is_part:
            rows = len(self._space.coordinates)
            return self._locked(LayerCost(principal_components(problem.generator), rows))
        options = problem.options
        is_by_hand = options.latent_space == "by_hand"
        if options.latent_space not in SPACES_WITH_FREEDOM or (is_by_hand and not options.freedom):
            return None
        grid = problem.source.grid
        freedom = problem.start.new_full((), options.freedom)
        if not is_by_hand:
            chosen = chosen_freedom(problem.paths, grid)
            if is_only:
                chosen = SURE / LOCAL * chosen
            freedom = freedom.new_full((), SURE) if is_masked else chosen
            if self._is_second and len(problem.paths.homes_px) == 1:
                freedom = _SECOND_FREEDOM * freedom
        if self._slopes is None:
            basis = self._space.basis
            assert basis is not None, "a space with freedom has coordinates along components"
            self._slopes = slopes_of_picture(
                problem.generator,
                problem.home,
                basis,
                problem.num_layers,
                problem.between,
            )
            self._before = self._slopes.picture
            # A frame of a bake has other changes as well, which are no part of the drag.
            origin = problem.start if problem.origin is None else problem.origin
            if not torch.equal(origin, problem.home):
                self._before = coarse_picture(problem.generator, origin)
            mean = principal_components(problem.generator).mean
            self._strain = Strain(mean, problem.start, self._space.mixing, basis)
        self._freedom = freedom
        width = self._space.coordinates.shape[1]
        self._away = away = seen_away(self._slopes, grid, problem.paths, width)
        return self._locked(metric_of(freedom, self._space.mixing, away.seen, away.measured))

    def _locked(self, cost: Cost) -> Cost:
        lock = self._space.lock
        return cost if lock is None else lock.metric(cost)

    def part_to_revert(
        self, problem: DragProblem, coordinates: Tensor, *, by_picture: bool
    ) -> Tensor:
        """Return the part of the change so far that a step reverts, ``N``.

        Args:
            problem: The drag.
            coordinates: ``rows x K``, where the step begins.
            by_picture: Whether to look at the picture for it, which takes a part of a step's time.
        """
        so_far = self._space.from_origin(coordinates).flatten()
        metric, away, before = self.metric, self._away, self._before
        if not isinstance(metric, Metric) or away is None or before is None or not by_picture:
            return RETURN * so_far
        weight = weight_of_picture(self._freedom)
        # To ask a GPU would be to wait for it, and there the picture takes hardly any time.
        if weight.device.type == "cpu" and not (weight and so_far.any()):
            return RETURN * so_far
        picture = coarse_picture(problem.generator, self._space.latent_at(coordinates))
        change = away.of_change(picture - before)
        return metric.undo(so_far, RETURN, _RETURN_SEEN * weight * change)

    def held_together(
        self, change: Tensor, coordinates: Tensor, rows: Tensor, wanted: Tensor
    ) -> Tensor:
        """Return a change, ``N``, that does not take the latent too far from those of the model.

        Args:
            change: The cheapest change, ``N``.
            coordinates: ``rows x K``, where it begins.
            rows: ``M x N``, the derivatives of what is wanted.
            wanted: ``M``, the displacements of the step.
        """
        if self._strain is None:
            return change
        shape = coordinates.shape
        share = self._strain.share_of_local(coordinates, change.reshape(shape))
        typical = NormalEquations(rows, torch.zeros_like(change), damping=DAMPING)
        change = share * change + typical.least_change((1 - share) * wanted)
        share = self._strain.share_of_any(coordinates, change.reshape(shape), self._freedom)
        cut = share < _CUT_SHORT
        self._cut_ago = torch.where(cut, torch.zeros_like(share), self._cut_ago + 1)
        return change * share
