# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps by least squares: the smallest change of the latent that moves each handle as wanted.

Motion supervision descends a loss, whose gradient says which way to go and not how far.  Here the
displacement of the content at each handle is linearised as a function of the latent, `J`, and the
step is the least one, in the metric of the latent space, that moves every handle by its way `d`:

    dc = J^T (J J^T + mu I)^-1 d

`J` comes from Lucas and Kanade's least squares (1981), on features in place of grey values: where
the content of a disc moves by a small `u`, its features change by `-grad F u`, so that

    u = -(sum grad F^T grad F)^-1 sum grad F^T (F_w' - F_w)

Two backward passes for each handle differentiate `u` with respect to the latent.  A drag then takes
some steps instead of some dozen, and what need not change hardly does.  The rest is Gauss and
Newton's method with the usual guards: a limited way for each step, and a damping that grows when a
step has led away from the targets and shrinks again when steps do what they promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..feature_source import FeatureView, Windows
from ..latent_space import latent_space
from ..supervision import disc_offsets, steps_to_targets
from ..tracking import PointTracker
from .base import DragProblem, Look

_FLATNESS = 1e-3
"""Added to a disc's structure tensor, as a share of its trace: where an edge or nothing at all is
to be seen, the motion that cannot be seen counts as none."""
_DAMPING = 1e-2
"""mu, as a share of the mean of the diagonal of `J J^T`."""
_RETURN = 0.1
"""The part of the change so far that each step takes back, as far as no handle needs it."""
_LIMIT_GROWTH = 1.5
_LIMIT_CUT = 0.5
_MASK_SHARE = 5.0
"""Square feature pixels off its way that a handle is kept for a mean square change of the fixed area
by the features' own spread, at a mask weight of 1."""
_MASK_PASSES = 6
_PROBE = 1e-3
"""How far an entry of w is moved, root mean square, to see which way the fixed area changes."""
_MARGIN = 2
"""Feature pixels that the windows reach beyond the search and the disc: one for the gradient, one
to interpolate."""


class Linearised:
    """One drag by least-squares steps."""

    def __init__(self, problem: DragProblem) -> None:
        options = problem.options
        device = problem.start.device
        self._problem = problem
        self._space = latent_space(
            options.latent_space, problem.generator, problem.start, problem.layers
        )
        self._offsets = disc_offsets(options.r1).to(device)
        self._radius = math.ceil(options.r2 + options.r1) + _MARGIN
        self._handles = problem.handles
        self._expected = problem.handles
        self._limit = problem.start.new_tensor(options.step_length)
        self._error = problem.start.new_tensor(math.inf)
        self._tracker: PointTracker | None = None
        self._spread: Tensor | None = None
        self._view: FeatureView | None = None

    def look(self) -> Look:
        """Find the handles where the last step should have brought them; see `DragMethod.look`."""
        problem, options = self._problem, self._problem.options
        latent = self._space.latent()
        view = problem.source.observe(latent, self._expected, self._radius)
        if self._tracker is None:
            self._spread = view.spread().detach()
            references = view.windows.sample(self._handles[:, None])[:, 0]
            self._tracker = PointTracker(references, problem.source.grid, options.r2)
        self._handles = self._tracker.track(view.windows, self._expected)
        error = (problem.targets - self._handles).square().sum(dim=1).mean()
        grown = (self._limit * _LIMIT_GROWTH).clamp(max=options.step_length)
        self._limit = torch.where(error < self._error, grown, self._limit * _LIMIT_CUT)
        self._error = error
        self._view = view
        return Look(
            latent=latent.detach(),
            handles=self._handles,
            loss=error,
            settled=torch.ones((), dtype=torch.bool, device=latent.device),
        )

    def update(self) -> None:
        """The least step that brings every handle nearer to its target."""
        assert self._view is not None, "look comes before update"
        coordinates = self._space.coordinates
        jacobian = motion_jacobian(self._view.windows, self._handles, self._offsets, coordinates)
        wanted = steps_to_targets(self._handles, self._problem.targets, self._limit).flatten()
        difference = self._view.fixed_difference()
        with torch.no_grad():
            normal = NormalEquations(jacobian)
            change = normal.least_change(wanted, coordinates.flatten())
            if difference is not None:
                change = self._held_back(normal, change, wanted, difference)
            moved = (jacobian @ change).reshape(-1, 2)
            self._expected = self._problem.source.grid.clamp(self._handles + moved)
            coordinates += change.reshape(coordinates.shape)
        self._view = None

    def _held_back(
        self, normal: NormalEquations, change: Tensor, wanted: Tensor, difference: Tensor
    ) -> Tensor:
        """Adds `weight |R + A dc|^2` to what is least: R the change in the fixed area, A its slope.

        Conjugate gradients, which begin at the step without a mask and need of `A` only its
        products: one forward pass (a finite difference) and one backward pass each time.
        """
        assert self._spread is not None
        coordinates = self._space.coordinates
        weight = self._problem.options.mask_weight * _MASK_SHARE / self._spread.square()
        base = coordinates.detach().clone()
        origin = difference.detach()

        def slope(direction: Tensor) -> Tensor:
            size = _PROBE / (direction.norm() * self._space.unit + torch.finfo().tiny)
            coordinates.copy_(base + (size * direction).reshape(base.shape))
            view = self._problem.source.observe(
                self._space.latent(), self._expected[:0], self._radius
            )
            there = view.fixed_difference()
            coordinates.copy_(base)
            assert there is not None
            return (there - origin) / size

        def back(residue: Tensor) -> Tensor:
            (gradient,) = torch.autograd.grad(difference, coordinates, residue, retain_graph=True)
            return gradient.flatten()

        def apply(direction: Tensor) -> Tensor:
            return normal.apply(direction) + weight * back(slope(direction))

        residue = normal.towards(wanted) - normal.apply(change)
        residue -= weight * back(origin + slope(change))
        return change + conjugate_gradients(apply, normal.solve, residue, _MASK_PASSES)


class NormalEquations:
    """`J^T J + mu I`, of few rows and many columns: products with it and with its inverse."""

    def __init__(self, jacobian: Tensor) -> None:
        """Take `J`, `M x N`; mu is `_DAMPING` of the mean of the diagonal of `J J^T`."""
        self._jacobian = jacobian
        gram = jacobian @ jacobian.T
        diagonal = gram.diagonal()
        self._damping = _DAMPING * diagonal.mean() + torch.finfo().tiny
        self._damped = gram + torch.diag_embed(self._damping.expand_as(diagonal))

    def towards(self, wanted: Tensor) -> Tensor:
        """`J^T d`."""
        return self._jacobian.T @ wanted

    def apply(self, change: Tensor) -> Tensor:
        """`(J^T J + mu I) x`."""
        return self._jacobian.T @ (self._jacobian @ change) + self._damping * change

    def solve(self, right: Tensor) -> Tensor:
        """`(J^T J + mu I)^-1 b`, by Woodbury's identity."""
        inner = torch.linalg.solve_ex(self._damped, self._jacobian @ right).result
        return (right - self._jacobian.T @ inner) / self._damping

    def least_change(self, wanted: Tensor, so_far: Tensor) -> Tensor:
        """The smallest change of the coordinates, `N`, that makes the displacements `wanted`, `M`.

        What has been changed `so_far` and turns out not to be needed is partly taken back: without,
        the small errors of all steps would add up to an image that has wandered off.
        """
        needed = wanted + _RETURN * (self._jacobian @ so_far)
        inner = torch.linalg.solve_ex(self._damped, needed).result
        return self._jacobian.T @ inner - _RETURN * so_far


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
    residue: Tensor,
    passes: int,
) -> Tensor:
    """The solution of `apply(x) = residue` after so many passes from zero, without a host read.

    Hestenes and Stiefel (1952), preconditioned.
    """
    solution = torch.zeros_like(residue)
    direction = preconditioned = precondition(residue)
    energy = residue @ preconditioned
    for _ in range(passes):
        image = apply(direction)
        step = energy / (direction @ image + torch.finfo().tiny)
        solution = solution + step * direction
        residue = residue - step * image
        preconditioned = precondition(residue)
        next_energy = residue @ preconditioned
        direction = preconditioned + direction * (next_energy / (energy + torch.finfo().tiny))
        energy = next_energy
    return solution


def motion_jacobian(
    windows: Windows, handles: Tensor, offsets: Tensor, coordinates: Tensor
) -> Tensor:
    """How the content at each handle moves with the coordinates: `2 P x N` float32, x before y.

    Args:
        windows: with gradient to the coordinates.
        handles: `P x 2` feature positions.
        offsets: `Q x 2`, the disc whose content counts.
        coordinates: a leaf of N numbers.
    """
    places = handles[:, None] + offsets
    values = windows.sample(places)
    solver = displacement_solver(windows, places)
    # x and y of all handles, as a function of the features around them.
    moved = -(solver @ values.flatten(1)[:, :, None]).flatten()
    rows = [torch.autograd.grad(entry, coordinates, retain_graph=True)[0] for entry in moved]
    return torch.stack(rows).flatten(1)


@torch.no_grad()
def displacement_solver(windows: Windows, places: Tensor) -> Tensor:
    """`(sum grad F^T grad F)^-1 grad F^T` of each handle: `P x 2 x (Q C)`.

    Args:
        places: `P x Q x 2` feature positions.
    """
    right, down = places.new_tensor([0.5, 0.0]), places.new_tensor([0.0, 0.5])
    slopes = torch.stack(
        [
            windows.sample(places + right) - windows.sample(places - right),
            windows.sample(places + down) - windows.sample(places - down),
        ],
        dim=1,
    ).flatten(2)  # P x 2 x QC
    tensor = slopes @ slopes.transpose(1, 2)
    floor = _FLATNESS * tensor.diagonal(dim1=1, dim2=2).sum(dim=1) + torch.finfo().tiny
    tensor = tensor + floor[:, None, None] * torch.eye(2, device=tensor.device)
    return torch.linalg.solve_ex(tensor, slopes).result
