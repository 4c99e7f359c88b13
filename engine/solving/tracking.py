# SPDX-License-Identifier: GPL-3.0-or-later
"""Point tracking: where in the new features a handle's content has gone, below a pixel.

Pan et al., "Drag Your GAN", section 3.3: the new handle is the position in a square window around
the old one whose feature is nearest, in L1, to the handle's *initial* feature.  The paper searches
whole pixels; here a coarse search with a pixel's spacing is followed by two finer ones.

Bilinear samples between pixels are smoother than those on them.  The coarse candidates therefore
all lie at the old handle's own fraction of a pixel, where they are equally smooth and compare
fairly; and candidates are ordered by distance, so that of equally good ones the nearest wins and a
handle on a flat place stays where it is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..features.source import FeatureGrid, Windows

_FINER = ((1.0, 0.25), (0.2, 0.05))
"""Half-width and spacing, in feature pixels, of the searches around the best so far."""


def square_offsets(half_width: float, spacing: float) -> Tensor:
    """Offsets `Q x 2` of a closed square grid around 0, the nearest first."""
    count = math.floor(half_width / spacing + 1e-6)
    line = torch.arange(-count, count + 1, dtype=torch.float32) * spacing
    y, x = torch.meshgrid(line, line, indexing="ij")
    offsets = torch.stack([x.flatten(), y.flatten()], dim=1)
    return offsets[offsets.square().sum(1).argsort(stable=True)]


class PointTracker:
    """Follows handles by the features around them.

    Attributes:
        references: `P x Q x C` float32, what is looked for now.
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
    ) -> None:
        """Remember what to look for.

        Args:
            references: `P x Q x C` float32, the features at each handle at the start of the drag.
            patch: `Q x 2`, at which offsets from the handle they are; None for the handle alone.
            r2: half-width of the search window, feature pixels, its edge included.
            renewal: the part of the references that each step takes from where it has found them:
                0 to look for the start's features, as published, 1 for those of the step before.
            memory: the weight of the start's features beside the renewed ones.
            inertia: by which part a place at `r2` from where the handle is expected must match
                better than that place itself; less in between, with the square of the distance.
                0 lets the best match win, as published.
        """
        self.references = references.detach()
        self._patch = references.new_zeros(1, 2) if patch is None else patch
        self._grid = grid
        self._r2 = r2
        self._first = self.references
        self._renewal = renewal
        self._memory = memory
        self._inertia = inertia
        levels = [(r2, min(1.0, r2)), *(level for level in _FINER if level[0] <= r2)]
        self._levels = [square_offsets(*level).to(references.device) for level in levels]

    @torch.no_grad()
    def track(self, windows: Windows, handles: Tensor) -> Tensor:
        """Find the handles again.

        Args:
            windows: around `handles`, reaching `r2` and the patch beyond them.
            handles: `P x 2` feature positions where they are expected: where they were last, or
                where a step should have brought them.

        Returns:
            `P x 2` feature positions, on the map and within `r2` in x and in y of `handles`.
        """
        lowest, highest = handles[:, None] - self._r2, handles[:, None] + self._r2
        found = handles
        for offsets in self._levels:
            candidates = torch.clamp(found[:, None] + offsets, lowest, highest)
            candidates = self._grid.clamp(candidates)
            ways = (candidates - handles[:, None]).square().sum(dim=2) / self._r2**2
            best = (self._costs(windows, candidates) * (1 + self._inertia * ways)).argmin(dim=1)
            found = candidates.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
        if self._renewal:
            here = windows.sample(found[:, None] + self._patch)
            self.references = self.references.lerp(here, self._renewal)
        return found

    def _costs(self, windows: Windows, candidates: Tensor) -> Tensor:
        """How far the features at `P x K x 2` candidates are from the references: `P x K`."""
        places = candidates[:, :, None] + self._patch
        found = windows.sample(places.flatten(1, 2)).reshape(*places.shape[:3], -1)
        costs: Tensor = (found - self.references[:, None]).abs().sum(dim=(2, 3))
        if self._memory:
            costs = costs + self._memory * (found - self._first[:, None]).abs().sum(dim=(2, 3))
        return costs
