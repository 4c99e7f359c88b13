# SPDX-License-Identifier: GPL-3.0-or-later
"""Point tracking: finds a handle's content in the new features, with sub-pixel accuracy.

Pan et al., "Drag Your GAN", section 3.3: the new handle is the position in a square window around
the old one whose feature has the smallest L1 distance to the handle's *initial* feature. The paper
searches integer positions; here a search with a spacing of one pixel is followed by two finer ones.

Bilinear samples between pixels are smoother than samples at pixels. All candidates of the first
search therefore have the same fraction of a pixel as the old handle, which makes them equally
smooth and comparable. Candidates are ordered by distance, so that the nearest of equally good ones
is chosen and a handle in a uniform area does not move.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..features.source import FeatureGrid, Windows
from .points import PointChange
from .regions import Regions, turned

# Half-width and spacing, feature pixels, of the finer searches around the best position so far.
_FINER = ((1.0, 0.25), (0.2, 0.05))
# The largest number of sampled features that candidates are compared by at once.
_AT_ONCE = 2**22


def square_offsets(half_width: float, spacing: float) -> Tensor:
    """Return the offsets of a square grid around 0, including its edge, the nearest first.

    Args:
        half_width: Half the side of the square, pixels.
        spacing: The distance of neighbouring offsets, pixels.

    Returns:
        ``Q x 2`` float32 (x, y) on the CPU.
    """
    count = math.floor(half_width / spacing + 1e-6)
    line = torch.arange(-count, count + 1, dtype=torch.float32) * spacing
    y, x = torch.meshgrid(line, line, indexing="ij")
    offsets = torch.stack([x.flatten(), y.flatten()], dim=1)
    return offsets[offsets.square().sum(1).argsort(stable=True)]


class PointTracker:
    """Tracks handles by the features around them.

    Attributes:
        references: ``P x Q x C`` float32, the features that the next search looks for.
    """

    def __init__(
        self,
        references: Tensor,
        grid: FeatureGrid,
        r2: float,
        *,
        patch: Tensor | None = None,
        renewal: float = 0.0,
        memory: float = 0.0,
        inertia: float = 0.0,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Store the features to look for.

        Args:
            references: ``P x Q x C`` float32, the features at each handle at the start of the drag.
            grid: The sizes of the image and of the feature map.
            r2: Half-width of the search window, feature pixels; its edge is included.
            patch: ``Q x 2`` feature pixels, the offsets of the references from the handle. None if
                there is only the feature at the handle.
            renewal: The share of the references that each step replaces with the features at the
                position found, 0 to 1: 0 looks for the features of the start, as published, 1 for
                those of the previous step.
            memory: The weight of the features of the start relative to the renewed references.
            inertia: The cost of a candidate is multiplied by ``1 + inertia * (distance / r2)^2``,
                with the distance from the expected position, so that farther positions must match
                better. 0 selects the best match, as published.
            between: Called between parts of a search; it may raise to end it.
        """
        self.references = references.detach()
        self._patch = references.new_zeros(1, 2) if patch is None else patch
        # ``P x Q x 2``, once the discs of regions were turned.
        self._turned: Tensor | None = None
        self._grid = grid
        self._r2 = r2
        self._first = self.references
        self._renewal = renewal
        self._memory = memory
        self._inertia = inertia
        self._between = between
        levels = [(r2, min(1.0, r2)), *(level for level in _FINER if level[0] <= r2)]
        self._levels = [square_offsets(*level).to(references.device) for level in levels]

    @property
    def patch(self) -> Tensor:
        """The offsets of the references from the handles: ``Q x 2``, or ``P x Q x 2`` if turned."""
        return self._patch if self._turned is None else self._turned

    @property
    def sought(self) -> Tensor:
        """The features that are looked for: the references, and the first ones by their weight."""
        return (self.references + self._memory * self._first) / (1 + self._memory)

    def turn(self, turns: Tensor) -> None:
        """Turn and scale the discs around the handles, as their regions are.

        Args:
            turns: ``P x 2`` float32, real and imaginary parts; see ``regions``.
        """
        self._turned = turned(self._patch, turns)

    @torch.no_grad()
    def track_regions(self, windows: Windows, points: Tensor, regions: Regions) -> Tensor:
        """Find the points of regions in new features, those of each region as one.

        Args:
            windows: As for ``track``.
            points: ``K x 2`` feature positions where the points are expected.
            regions: The regions that the points belong to.

        Returns:
            ``K x 2`` feature positions on the map; plain handles are found as by ``track``.
        """
        self.turn(regions.poses(points)[regions.owner, 2:])
        sought = self.sought
        near = regions.poses(self.track(windows, points))
        poses = regions.aligned(windows, near, sought, self._patch)
        # What is found farther off than the windows reach was not found.
        moved = regions.with_wanted(near).distances(poses)
        poses = torch.where((moved <= self._r2)[:, None], poses, near)
        found = self._grid.clamp(regions.points(poses))
        self.turn(poses[regions.owner, 2:])
        self.renew(windows, found)
        return found

    @torch.no_grad()
    def renew(self, windows: Windows, handles: Tensor) -> None:
        """Take the references from the features around handles, ``P x 2`` feature positions."""
        self.references = windows.sample(handles[:, None] + self.patch)

    @torch.no_grad()
    def replace(self, change: PointChange, windows: Windows, handles: Tensor) -> None:
        """Go on with other points: new ones are known by the features where they start.

        Args:
            change: The change of the points.
            windows: Windows that extend at least the patch around ``handles``.
            handles: ``P x 2`` feature positions of all points after the change.
        """
        self._turned = None
        if change.regions is not None:
            # A region that was turned before has new points if its radius was changed.
            self.turn(change.regions.poses(handles)[change.regions.owner, 2:])
        here = windows.sample(handles[:, None] + self.patch)
        self.references = change.carry(self.references, here)
        self._first = change.carry(self._first, here)

    @torch.no_grad()
    def track(self, windows: Windows, handles: Tensor) -> Tensor:
        """Find the handles in new features.

        Args:
            windows: Windows that extend at least ``r2`` plus the patch around ``handles``.
            handles: ``P x 2`` feature positions where the handles are expected: their last
                positions, or those to which a step should have moved them.

        Returns:
            ``P x 2`` feature positions, on the map and within ``r2`` of ``handles`` in x and in y.
        """
        lowest, highest = handles[:, None] - self._r2, handles[:, None] + self._r2
        found = handles
        for offsets in self._levels:
            candidates = torch.clamp(found[:, None] + offsets, lowest, highest)
            candidates = self._grid.clamp(candidates)
            distances = (candidates - handles[:, None]).square().sum(dim=2) / self._r2**2
            costs = self._costs(windows, candidates) * (1 + self._inertia * distances)
            best = costs.argmin(dim=1)
            found = candidates.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
        if self._renewal:
            here = windows.sample(found[:, None] + self.patch)
            self.references = self.references.lerp(here, self._renewal)
        return found

    def _costs(self, windows: Windows, candidates: Tensor) -> Tensor:
        """Return the distance of the features at candidates from the references.

        Args:
            windows: As for ``track``.
            candidates: ``P x K x 2`` feature positions.

        Returns:
            ``P x K``, the sum of absolute differences.
        """
        size = candidates.shape[1] * self.references[0].numel()
        # As many handles as fit, at least one: the memory does not grow with their number.
        count = max(1, _AT_ONCE // size)
        costs = []
        for first in range(0, len(candidates), count):
            self._between()
            costs.append(self._costs_of(slice(first, first + count), windows, candidates))
        return torch.cat(costs) if costs else candidates.new_zeros(candidates.shape[:2])

    def _costs_of(self, part: slice, windows: Windows, candidates: Tensor) -> Tensor:
        """Return the costs of the candidates of a part of the handles, see ``_costs``."""
        patch = self._patch if self._turned is None else self._turned[part, None]
        positions = candidates[part, :, None] + patch
        here = Windows(windows.values[part], windows.origins[part])
        found = here.sample(positions.flatten(1, 2)).reshape(*positions.shape[:3], -1)
        costs: Tensor = (found - self.references[part, None]).abs().sum(dim=(2, 3))
        if self._memory:
            first = self._first[part, None]
            costs = costs + self._memory * (found - first).abs().sum(dim=(2, 3))
        return costs
