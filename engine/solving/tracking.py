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
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan2 import FunctionGraphs, FusedOperators

from ..features.source import FeatureGrid, Windows
from .points import PointChange
from .regions import Regions, turned

# Half-width and spacing, feature pixels, of the finer searches around the best position so far.
_FINER = ((1.0, 0.25), (0.2, 0.05))
# The largest number of sampled features that candidates are compared by at once.
_AT_ONCE = 2**22
# Searches for more handles are not recorded: they keep a GPU busy, and can be left in the middle.
_RECORDED = 16


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
        graphs: FunctionGraphs | None = None,
        operators: FusedOperators | None = None,
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
            graphs: Repeats searches as CUDA graphs; None to compute each.
            operators: What quick searches are computed with; None for none of them.
        """
        self.references = references.detach()
        self._patch = references.new_zeros(1, 2) if patch is None else patch
        # ``P x Q x 2``, once the discs of regions were turned.
        self._turned: Tensor | None = None
        self._grid = grid
        self._r2 = r2
        self._first = self.references
        self._memory = memory
        self._search = _Search(grid, r2, renewal, memory, inertia)
        is_quick = operators is not None and operators.has_patch_costs
        self._operators = operators if is_quick else None
        self._between = between
        self._graphs = graphs
        levels = [(r2, min(1.0, r2)), *(level for level in _FINER if level[0] <= r2)]
        self._levels = [square_offsets(*level).to(references.device) for level in levels]

    @property
    def patch(self) -> Tensor:
        """The offsets of the references from the handles: ``Q x 2``, or ``P x Q x 2`` if turned."""
        return self._patch if self._turned is None else self._turned

    @property
    def first(self) -> Tensor:
        """The features of each handle where it started, ``P x Q x C``."""
        return self._first

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
    def track(self, windows: Windows, handles: Tensor, *, quick: bool = False) -> Tensor:
        """Find the handles in new features.

        Args:
            windows: Windows that extend at least ``r2`` plus the patch around ``handles``.
            handles: ``P x 2`` feature positions where the handles are expected: their last
                positions, or those to which a step should have moved them.
            quick: Whether to compare candidates with the compiled operators, if there are any: of
                two that match equally well up to rounding, another may be chosen.

        Returns:
            ``P x 2`` feature positions, on the map and within ``r2`` of ``handles`` in x and in y.
        """
        inputs = (
            windows.values,
            windows.origins,
            handles,
            self.references,
            self._first,
            self.patch,
            *self._levels,
        )
        if self._graphs is None or len(handles) > _RECORDED:
            operators = self._operators if quick else None
            found, self.references = self._search(
                *inputs, between=self._between, operators=operators
            )
            return found
        self._between()
        found, self.references = self._graphs.call(
            self._search, self._search, inputs, lambda: _others(inputs)
        )
        return found


@dataclass(frozen=True)
class _Search:
    """A search in new features: numbers that decide, with the shapes, all that it computes.

    Attributes:
        grid: The sizes of the image and of the feature map.
        r2: See ``PointTracker``.
        renewal: See ``PointTracker``.
        memory: See ``PointTracker``.
        inertia: See ``PointTracker``.
    """

    grid: FeatureGrid
    r2: float
    renewal: float
    memory: float
    inertia: float

    def __call__(
        self,
        values: Tensor,
        origins: Tensor,
        handles: Tensor,
        references: Tensor,
        first: Tensor,
        patch: Tensor,
        *levels: Tensor,
        between: Callable[[], None] = lambda: None,
        operators: FusedOperators | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Find the handles.

        Args:
            values: ``P x S x S x C``, see ``Windows``.
            origins: ``P x 2``, see ``Windows``.
            handles: ``P x 2`` feature positions where they are expected.
            references: ``P x Q x C``, the features to look for.
            first: ``P x Q x C``, those of the start.
            patch: ``Q x 2`` or ``P x Q x 2``, the offsets of the references.
            *levels: ``K x 2`` each, the offsets of the candidates of each search.
            between: Called between parts of a search.
            operators: Compiled operators that compare candidates, or None.

        Returns:
            The handles, ``P x 2``, and the references of the next search.
        """
        windows = Windows(values, origins)
        lowest, highest = handles[:, None] - self.r2, handles[:, None] + self.r2
        found = handles
        for offsets in levels:
            candidates = torch.clamp(found[:, None] + offsets, lowest, highest)
            candidates = self.grid.clamp(candidates)
            distances = (candidates - handles[:, None]).square().sum(dim=2) / self.r2**2
            if operators is None:
                costs = self._costs(windows, candidates, references, first, patch, between)
            else:
                between()
                costs = self._quick_costs(operators, windows, candidates, references, first, patch)
            best = (costs * (1 + self.inertia * distances)).argmin(dim=1)
            found = candidates.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
        if self.renewal:
            here = windows.sample(found[:, None] + patch)
            references = references.lerp(here, self.renewal)
        return found, references

    def _costs(
        self,
        windows: Windows,
        candidates: Tensor,
        references: Tensor,
        first: Tensor,
        patch: Tensor,
        between: Callable[[], None],
    ) -> Tensor:
        """Return the distance of the features at candidates from the references.

        Args:
            windows: The new features.
            candidates: ``P x K x 2`` feature positions.
            references: As for ``__call__``.
            first: As for ``__call__``.
            patch: As for ``__call__``.
            between: As for ``__call__``.

        Returns:
            ``P x K``, the sum of absolute differences.
        """
        size = candidates.shape[1] * references[0].numel()
        # As many handles as fit, at least one: the memory does not grow with their number.
        count = max(1, _AT_ONCE // size)
        costs = []
        for start in range(0, len(candidates), count):
            between()
            part = slice(start, start + count)
            offsets = patch if patch.dim() == 2 else patch[part, None]
            positions = candidates[part, :, None] + offsets
            here = Windows(windows.values[part], windows.origins[part])
            found = here.sample(positions.flatten(1, 2)).reshape(*positions.shape[:3], -1)
            cost = (found - references[part, None]).abs().sum(dim=(2, 3))
            if self.memory:
                cost = cost + self.memory * (found - first[part, None]).abs().sum(dim=(2, 3))
            costs.append(cost)
        return torch.cat(costs) if costs else candidates.new_zeros(candidates.shape[:2])

    def _quick_costs(
        self,
        operators: FusedOperators,
        windows: Windows,
        candidates: Tensor,
        references: Tensor,
        first: Tensor,
        patch: Tensor,
    ) -> Tensor:
        """Return what ``_costs`` returns, up to rounding, with compiled operators."""
        offsets = patch if patch.dim() == 2 else patch[:, None]
        positions = candidates[:, :, None] + offsets
        pixels, fractions = windows.corner_of(positions.flatten(1, 2))
        return operators.patch_costs(
            windows.values.contiguous(),
            pixels.int().view(positions.shape[:3]),
            fractions.view(positions.shape).contiguous(),
            references.contiguous(),
            first.contiguous(),
            self.memory,
        )


def _others(inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Return other inputs of a search, with which a recording of it is proven."""
    values, origins, handles, references, first, *rest = inputs
    shifted = handles + 0.25
    return [values.flip(-1), origins, shifted, references.flip(-1), first.flip(-1), *rest]
