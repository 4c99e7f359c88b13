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

from .feature_source import FeatureGrid, Windows

_FINER = ((1.0, 0.25), (0.2, 0.05))
"""Half-width and spacing, in feature pixels, of the searches around the best so far."""

_RENEWAL = 0.1
"""The part of an updated reference that each step takes from the features where it was found."""


def square_offsets(half_width: float, spacing: float) -> Tensor:
    """Offsets `Q x 2` of a closed square grid around 0, the nearest first."""
    count = math.floor(half_width / spacing + 1e-6)
    line = torch.arange(-count, count + 1, dtype=torch.float32) * spacing
    y, x = torch.meshgrid(line, line, indexing="ij")
    offsets = torch.stack([x.flatten(), y.flatten()], dim=1)
    return offsets[offsets.square().sum(1).argsort(stable=True)]


class PointTracker:
    """Follows handles by their initial features, or by an exponential average from these on."""

    def __init__(
        self,
        references: Tensor,
        grid: FeatureGrid,
        r2: float,
        *,
        subpixel: bool = True,
        updated: bool = False,
    ) -> None:
        """Remember what to look for.

        Args:
            references: `P x C` float32, each handle's feature at the start of the drag.
            r2: half-width of the search window, feature pixels, its edge included.
            subpixel: whether to refine what the search with a pixel's spacing has found.
            updated: whether the reference follows what has been found, `_RENEWAL` of it a step.
        """
        self._references = references.detach()[:, None]
        self._grid = grid
        self._r2 = r2
        self._updated = updated
        finer = _FINER if subpixel else ()
        levels = [(r2, min(1.0, r2)), *(level for level in finer if level[0] <= r2)]
        self._levels = [square_offsets(*level).to(references.device) for level in levels]

    @torch.no_grad()
    def track(self, windows: Windows, handles: Tensor) -> Tensor:
        """Find the handles again.

        Args:
            windows: around `handles`, reaching `r2` beyond them.
            handles: `P x 2` feature positions where they were last.

        Returns:
            `P x 2` feature positions, on the map and within `r2` in x and in y of `handles`.
        """
        lowest, highest = handles[:, None] - self._r2, handles[:, None] + self._r2
        found = handles
        for offsets in self._levels:
            candidates = torch.clamp(found[:, None] + offsets, lowest, highest)
            candidates = self._grid.clamp(candidates)
            costs = (windows.sample(candidates) - self._references).abs().sum(dim=2)
            best = costs.argmin(dim=1)
            found = candidates.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
        if self._updated:
            self._references = self._references.lerp(windows.sample(found[:, None]), _RENEWAL)
        return found
