# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions: discs of the image that a drag moves, turns and scales as one.

A region is followed by several points: the handle itself and a ring around it. Their places give
the *pose* of the region: the similarity that maps their first offsets from the handle to where they
are now, by least squares (Umeyama, "Least-squares estimation of transformation parameters between
two point patterns", 1991). In the plane it is linear in four numbers: with complex numbers,
``p_k = c + z o_k``, where ``c`` is where the handle's content is and ``z`` is
``scale * exp(-i angle)``, because y points down and angles are counter-clockwise as a person sees
the image.

Each point counts as far as it can be seen: its weight is the matrix ``S = T (T + t)^-1`` of its
structure tensor ``T`` (see ``structure``), which is near 1 in directions in which the features
change much, and 0 in directions in which they do not. A point on an outline thus counts across the
outline and not along it, and one on plain skin does not count.

A drag solves for the four numbers of each pose, and not for every point: how perspective and
expression deform the disc otherwise is left to the generator. A plain handle is a region of one
point, whose ``z`` is always 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ..arrays import FloatArray
from ..features.source import Windows
from .structure import SLOPE_REACH

# The rings: the number of points, and their distance from the handle as a share of the radius.
_RINGS = ((6, 0.75),)
# The points of a region, its centre included.
POINTS_OF_REGION = 1 + sum(count for count, _ in _RINGS)
# The ``t`` of a point's weight: the square of the change of the features per pixel, in units of
# their spread, at which a direction counts half. It is large, so that most points count by their
# structure: the angle of a round thing is in its few details, and not in its outline.
_HALF_SEEN = 1.0
# The weight of a point that cannot be seen at all: a region without any structure still has a pose.
_UNSEEN = 1e-3
# Keeps the pose at ``z = 1`` if no point says otherwise, as a share of the other terms.
_RIDGE = 1e-6
# Passes of the search for a pose, each a Gauss-Newton step, and its damping as a share of the terms
# of the place.
_PASSES = 4
_DAMPING = 1e-4
# The smallest size of a region, relative to its first size, that a path is computed for.
SMALLEST = 0.05


@dataclass(frozen=True)
class Regions:
    """The K points of P pairs, and what is wanted of them; all tensors are on one device.

    Attributes:
        owner: ``K`` int64, the pair of each point, in rising order; the first point of a pair is
            its handle.
        offsets: ``K x 2`` float32, the offset of each point from its handle when its region was
            neither turned nor scaled, feature pixels; 0 for handles.
        seen: ``K x 2 x 2`` float32, the weight of each point; the identity for a plain handle.
        radii: ``P`` float32, feature pixels, 0 for a plain handle.
        wanted: ``P x 4`` float32, the poses to reach; see ``poses``.
        reading: ``4 P x 2 K`` float32, the linear map from points to poses.
        basis: ``2 K x 4 P`` float32, the linear map from poses to points.
        measured: ``M`` int64, the numbers of the poses' entries that can change: two of a plain
            handle, and all four of a region.
    """

    owner: Tensor
    offsets: Tensor
    seen: Tensor
    radii: Tensor
    wanted: Tensor
    reading: Tensor
    basis: Tensor
    measured: Tensor

    def with_wanted(self, wanted: Tensor) -> Regions:
        """Return these points with other poses ``P x 4`` to reach."""
        return replace(self, wanted=wanted)

    def to(self, device: torch.device) -> Regions:
        """Return the regions with all tensors on a device."""
        return Regions(*(getattr(self, part.name).to(device) for part in fields(self)))

    def poses(self, points: Tensor) -> Tensor:
        """Return the poses of points.

        Args:
            points: ``K x 2`` feature positions.

        Returns:
            ``P x 4`` float32: the place of the handle's content, x and y, and the real and the
            imaginary part of ``z``; 1 and 0 for a plain handle.
        """
        read = (self.reading @ (points - self.offsets).flatten()).reshape(-1, 4)
        return read + read.new_tensor([0.0, 0.0, 1.0, 0.0])

    def points(self, poses: Tensor) -> Tensor:
        """Return where points are if their regions have poses ``P x 4``: ``K x 2``."""
        rest = poses - poses.new_tensor([0.0, 0.0, 1.0, 0.0])
        return self.offsets + (self.basis @ rest.flatten()).reshape(-1, 2)

    @torch.no_grad()
    def aligned(self, windows: Windows, poses: Tensor, sought: Tensor, patch: Tensor) -> Tensor:
        """Return the poses at which the features of regions are most like those that are sought.

        The points of a region are not searched one by one, as a round thing looks the same however
        it is turned, and only its details together tell the angle. This is the method of Lucas
        and Kanade (see ``methods.displacement``) for the four numbers of a pose: the change of a
        feature with the pose is its slope times the change of its position.

        Args:
            windows: Windows around the points.
            poses: ``P x 4``, near the poses to find.
            sought: ``K x Q x C``, the features of the discs around the points.
            patch: ``Q x 2``, the offsets of the discs' positions, feature pixels, neither turned
                nor scaled.

        Returns:
            ``P x 4``; those of plain handles are not changed.
        """
        members = torch.nn.functional.one_hot(self.owner, len(self.radii)).T.to(poses)
        right, down = SLOPE_REACH * torch.eye(2, device=poses.device)
        count = len(self.owner)
        around = self.offsets[:, None] + patch
        # From the slopes in x and y to those along the four numbers, ``K x Q x 2 x 4``.
        x, y = around.unbind(dim=-1)
        one, none = torch.ones_like(x), torch.zeros_like(x)
        along = torch.stack(
            [torch.stack([one, none, x, -y], dim=-1), torch.stack([none, one, y, x], dim=-1)], dim=2
        )
        unit = torch.stack([torch.ones_like(self.radii)] * 2 + [self.radii.square()] * 2, dim=1)
        weights = self.seen.diagonal(dim1=1, dim2=2).mean(dim=1)
        is_region = (self.radii > 0)[:, None]
        for _ in range(_PASSES):
            places = self.points(poses)[:, None] + turned(patch, poses[self.owner, 2:])
            rest = windows.sample(places) - sought
            slopes = torch.stack(
                [
                    windows.sample(places + right) - windows.sample(places - right),
                    windows.sample(places + down) - windows.sample(places - down),
                ],
                dim=-1,
            )
            change = (slopes @ along).reshape(count, -1, 4)
            normal = change.transpose(1, 2) @ change
            force = (change.transpose(1, 2) @ rest.reshape(count, -1, 1))[..., 0]
            normal = torch.einsum("pk,kij->pij", members * weights, normal)
            force = (members * weights) @ force
            level = _DAMPING * normal[:, :2, :2].diagonal(dim1=1, dim2=2).mean(dim=1)
            damped = normal + torch.diag_embed(level[:, None] * unit + torch.finfo().tiny)
            step = torch.linalg.solve_ex(damped, force).result
            poses = torch.where(is_region, poses - step, poses)
        return poses

    def distances(self, poses: Tensor) -> Tensor:
        """Return how far regions are from what is wanted, ``P``, feature pixels.

        It is the distance of the place, or that of the rim due to turn and scale, whichever is
        larger.

        Args:
            poses: ``P x 4``.
        """
        rest = self.wanted - poses
        return torch.maximum(rest[:, :2].norm(dim=1), self.radii * rest[:, 2:].norm(dim=1))

    def error(self, poses: Tensor) -> Tensor:
        """Return the mean over the pairs of the squares of what is left of place and rim, a scalar.

        Args:
            poses: ``P x 4``.
        """
        rest = (self.wanted - poses).square()
        rim = self.radii.square() * rest[:, 2:].sum(dim=1)
        error: Tensor = (rest[:, :2].sum(dim=1) + rim).mean()
        return error

    def on_the_way(self, poses: Tensor, limit: Tensor) -> Tensor:
        """Return the poses to go for in the next step: on the way to the wanted ones.

        A region turns on its way, so its points move on arcs; on the straight lines to their
        targets it would shrink.

        Args:
            poses: ``P x 4``, the present ones.
            limit: How far a point may move, feature pixels, a scalar.
        """
        path = self.wanted[:, :2] - poses[:, :2]
        now, growth, turn = self._turning(poses)
        size = torch.maximum(now.abs(), self.wanted[:, 2:].norm(dim=1)) * self.radii
        length = path.norm(dim=1) + size * torch.hypot(growth, turn)
        return self.part_way(poses, limit / length.clamp(min=limit))

    def part_way(self, poses: Tensor, part: Tensor) -> Tensor:
        """Return the poses after a part of the way to the wanted ones, with points on arcs.

        Args:
            poses: ``P x 4``, the present ones.
            part: ``P``, or a scalar, 0 to 1.
        """
        now, growth, turn = self._turning(poses)
        between = now * torch.polar((growth * part).exp(), turn * part)
        place = poses[:, :2] + (self.wanted[:, :2] - poses[:, :2]) * part[..., None]
        return torch.cat([place, torch.view_as_real(between)], dim=1)

    def _turning(self, poses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``z`` of poses, complex, and the logarithm of the scale and the angle to go."""
        now = torch.view_as_complex(poses[:, 2:].contiguous())
        then = torch.view_as_complex(self.wanted[:, 2:].contiguous())
        now = torch.where(now.abs() < SMALLEST, now.new_ones(()), now)
        ratio = then / now
        return now, ratio.abs().log(), ratio.angle()

    def rows(self, jacobian: Tensor) -> Tensor:
        """Return the derivatives of the poses, as lengths, from those of the points.

        Args:
            jacobian: ``2 K x N``, for each point the row of x before that of y.

        Returns:
            ``M x N``, feature pixels: turn and scale count as the way of the rim.
        """
        return (self._scale() * (self.reading @ jacobian))[self.measured]

    def lengths(self, change: Tensor) -> Tensor:
        """Return a change of poses ``P x 4`` as the lengths that ``rows`` derives, ``M``."""
        return (self._scale()[:, 0] * change.flatten())[self.measured]

    def _scale(self) -> Tensor:
        ones = torch.ones_like(self.radii)
        return torch.stack([ones, ones, self.radii, self.radii], dim=1).reshape(-1, 1)


def turned(offsets: Tensor, turns: Tensor) -> Tensor:
    """Return offsets ``Q x 2``, turned and scaled by each ``z`` of ``P x 2``: ``P x Q x 2``."""
    x, y = offsets.unbind(dim=1)
    real, imaginary = turns[:, :1], turns[:, 1:]
    return torch.stack([real * x - imaginary * y, imaginary * x + real * y], dim=-1)


def make_regions(
    owner: Tensor, offsets: Tensor, seen: Tensor, radii: Tensor, wanted: Tensor
) -> Regions:
    """Return regions with the linear maps between points and poses; arguments as in ``Regions``."""
    count, pairs = len(owner), len(radii)
    basis = offsets.new_zeros(count, 2, pairs, 4)
    numbers = torch.arange(count, device=owner.device)
    x, y = offsets.unbind(dim=1)
    for axis, (real, imaginary) in enumerate(((x, -y), (y, x))):
        basis[numbers, axis, owner, axis] = 1.0
        basis[numbers, axis, owner, 2] = real
        basis[numbers, axis, owner, 3] = imaginary
    basis = basis.reshape(2 * count, 4 * pairs)
    blocks = torch.block_diag(*seen)  # type: ignore[no-untyped-call]
    normal = basis.T @ blocks @ basis
    # A plain handle has no offsets: nothing but this says that its ``z`` is 1.
    floor = torch.where(radii > 0, _RIDGE * radii.square(), 1.0)
    ridge = torch.stack([torch.zeros_like(floor)] * 2 + [floor] * 2, dim=1).flatten()
    reading = torch.linalg.solve(normal + torch.diag(ridge), basis.T @ blocks)
    is_region = (radii > 0)[:, None].expand(-1, 2)
    measured = torch.cat([torch.ones_like(is_region), is_region], dim=1).flatten().nonzero()[:, 0]
    return Regions(owner, offsets, seen, radii, wanted, reading, basis, measured)


def ring_offsets(radius: float) -> FloatArray:
    """Return the offsets of a region's points from its handle: the handle first, then the rings.

    Args:
        radius: The radius of the region, in any unit.

    Returns:
        ``POINTS_OF_REGION x 2`` float32, in the same unit.
    """
    rows = [(0.0, 0.0)]
    for count, share in _RINGS:
        for number in range(count):
            angle = 2 * math.pi * number / count
            rows.append((share * radius * math.cos(angle), share * radius * math.sin(angle)))
    return np.array(rows, dtype=np.float32)


def weights_of(structure: Tensor) -> Tensor:
    """Return the weights of points with structure tensors ``K x 2 x 2``, in the same shape."""
    unit = torch.eye(2, device=structure.device)
    weights: Tensor = torch.linalg.solve(structure + _HALF_SEEN * unit, structure)
    symmetric = (weights + weights.transpose(1, 2)) / 2
    return symmetric * (1 - _UNSEEN) + _UNSEEN * unit


def turn_of(angles: FloatArray, scales: FloatArray) -> FloatArray:
    """Return ``z`` of angles and scales, P each: real and imaginary parts, ``P x 2`` float32.

    Args:
        angles: Radians, counter-clockwise as a person sees the image.
        scales: More than 0.
    """
    parts = np.stack([scales * np.cos(angles), -scales * np.sin(angles)], axis=-1)
    turns: FloatArray = parts.astype(np.float32)
    return turns


def angle_and_scale(turns: FloatArray) -> FloatArray:
    """Return the angles, -pi to pi, and scales of ``z``, ``... x 2`` float32; see ``turn_of``."""
    real, imaginary = turns[..., 0], turns[..., 1]
    pair = [np.arctan2(-imaginary, real), np.hypot(real, imaginary)]
    found: FloatArray = np.stack(pair, axis=-1).astype(np.float32)
    return found
