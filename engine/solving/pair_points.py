# SPDX-License-Identifier: GPL-3.0-or-later
"""From the pairs of a drag to the points that are solved: one of a handle, several of a region."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Canvas, Generator

from ..arrays import FloatArray
from ..features.source import FeatureGrid
from .points import LivePoints
from .regions import Regions, make_regions, ring_offsets, turn_of, weights_of
from .structure import is_flat, structure_at
from .supervision import disc_offsets


@dataclass(frozen=True)
class Known:
    """What is known of a pair from the image in which it began.

    Attributes:
        latent: ``num_ws x w_dim``, the latent of that image.
        radius_px: The radius of its region, 0 for a plain handle.
        starts_px: ``k x 2`` float32, where its points were, image pixels.
        offsets_px: ``k x 2`` float32, the offsets of its points before any turn, image pixels.
        structure: ``k x 2 x 2`` float32 on the CPU; None if nobody asked for it.
    """

    latent: Tensor
    radius_px: float
    starts_px: FloatArray
    offsets_px: FloatArray
    structure: Tensor | None = None

    @property
    def is_flat(self) -> bool:
        """Whether the pair lies on something that cannot be followed."""
        return self.structure is not None and bool(is_flat(self.structure).all())


class PairPoints:
    """The pairs of a drag, and their points.

    Attributes:
        keys: The keys of the points: that of its pair for a handle, ``(key, number)`` for the
            others of a region.
        known: What is known of each pair, in the order of the pairs.
        moved: The keys of the points around a handle that the last ``expand`` has placed again,
            because the radius of their region was changed.
        canvas: The picture that the latents belong to; None for pictures of one latent.
    """

    def __init__(
        self,
        generator: Generator,
        block: int,
        grid: FeatureGrid,
        radius: float,
        *,
        judged: bool,
        canvas: Canvas | None = None,
    ) -> None:
        """Begin without pairs.

        Args:
            generator: Frozen, on the device to compute on.
            block: The feature block.
            grid: The sizes of the image and of the feature map.
            radius: The radius of the disc by which a point is followed, feature pixels.
            judged: Whether to find out of plain handles, too, whether they can be followed.
            canvas: The picture that the latents belong to; None for pictures of one latent.
        """
        self._generator = generator
        self.canvas = canvas
        self._block = block
        self._grid = grid
        self._disc = disc_offsets(max(radius, 1.0))
        self._judged = judged
        self.keys: tuple[Hashable, ...] = ()
        self.known: tuple[Known, ...] = ()
        self.moved: frozenset[Hashable] = frozenset()
        self._by_key: dict[Hashable, Known] = {}

    @property
    def _per_px(self) -> float:
        """Feature pixels per image pixel."""
        return self._grid.feature_size[0] / self._grid.image_size[0]

    def expand(
        self,
        pairs: LivePoints,
        latent: Tensor,
        places: Mapping[Hashable, tuple[FloatArray, FloatArray]],
    ) -> tuple[LivePoints, Regions | None]:
        """Take over pairs, and return the points to solve.

        Args:
            pairs: The pairs.
            latent: ``num_ws x w_dim`` float32, the latent of the image in which new pairs begin.
            places: For each pair of which the drag knows where it is now: the place of the handle,
                ``2`` float32, image pixels, and ``z`` of its region, ``2`` float32; see
                ``regions``.

        Returns:
            The points, as ``LivePoints`` without regions, and the regions that they belong to; None
            if all pairs are plain.
        """
        radii = np.zeros(len(pairs.keys)) if pairs.radii_px is None else pairs.radii_px
        known = {}
        for key, handle, radius in zip(pairs.keys, pairs.handles_px, radii, strict=True):
            before = self._by_key.get(key)
            if before is None or before.radius_px != radius:
                known[key] = self._begin(handle, float(radius), latent, places.get(key))
            else:
                known[key] = before
        changed = {key for key, one in known.items() if one is not self._by_key.get(key)}
        self._judge([key for key in known if key in changed], known)
        self._by_key, self.known = known, tuple(known.values())
        self.keys = tuple(
            key if not number else (key, number)
            for key, one in known.items()
            for number in range(len(one.offsets_px))
        )
        self.moved = frozenset(
            key for key in self.keys if isinstance(key, tuple) and key[0] in changed
        )
        handles_px = np.concatenate([one.starts_px for one in self.known])
        if not pairs.has_regions:
            plain = LivePoints(keys=self.keys, handles_px=handles_px, targets_px=pairs.targets_px)
            return plain, None
        regions = self._regions(pairs)
        targets = self._grid.to_image(regions.points(regions.wanted)).cpu().numpy()
        size = np.array(self._grid.image_size, dtype=np.float32)
        points = LivePoints(
            keys=self.keys,
            handles_px=np.clip(handles_px, 0, size),
            targets_px=np.clip(targets, 0, size),
        )
        return points, regions

    def _begin(
        self,
        handle_px: FloatArray,
        radius_px: float,
        latent: Tensor,
        place: tuple[FloatArray, FloatArray] | None,
    ) -> Known:
        """Return the points of a new pair, or of one whose radius has changed."""
        ring = ring_offsets(radius_px) if radius_px else np.zeros((1, 2), np.float32)
        start = np.asarray(handle_px, np.float32)
        offsets = ring
        if place is not None:
            # A region that was turned before: undone, its offsets would be these.
            start, (real, imaginary) = place
            turned = (ring[:, 0] + 1j * ring[:, 1]) / complex(real, imaginary)
            offsets = np.stack([turned.real, turned.imag], axis=1).astype(np.float32)
        return Known(latent, radius_px, start + ring, offsets)

    def _judge(self, keys: list[Hashable], known: dict[Hashable, Known]) -> None:
        """Compute the structure at the points of new pairs, if it is needed."""
        judged = [key for key in keys if self._judged or known[key].radius_px]
        if not judged:
            return
        latent = known[judged[0]].latent
        starts_px = np.concatenate([known[key].starts_px for key in judged])
        points = self._grid.to_feature(torch.from_numpy(starts_px).to(latent.device))
        disc = self._disc.to(latent.device)
        found = structure_at(self._generator, self._block, latent, points, disc, self.canvas).cpu()
        counts = [len(known[key].starts_px) for key in judged]
        for key, part in zip(judged, torch.split(found, counts), strict=True):
            known[key] = replace(known[key], structure=part)

    def _regions(self, pairs: LivePoints) -> Regions:
        assert pairs.radii_px is not None and pairs.turns is not None
        turns = np.asarray(pairs.turns, np.float32)
        radii_px = torch.tensor([one.radius_px for one in self.known], dtype=torch.float32)
        device = self.known[0].latent.device
        counts = [len(one.offsets_px) for one in self.known]
        owner = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        offsets_px = torch.from_numpy(np.concatenate([one.offsets_px for one in self.known]))
        targets_px = torch.from_numpy(np.asarray(pairs.targets_px, np.float32))
        wanted = torch.cat(
            [
                self._grid.to_feature(targets_px),
                torch.from_numpy(turn_of(turns[:, 0], turns[:, 1])),
            ],
            dim=1,
        )
        seen = torch.cat([self._weights(one) for one in self.known])
        regions = make_regions(
            owner, offsets_px * self._per_px, seen, radii_px * self._per_px, wanted
        )
        # Points that begin or should end outside the image cannot be found.
        ends = self._grid.to_image(regions.points(wanted))
        starts = torch.from_numpy(np.concatenate([one.starts_px for one in self.known]))
        size = torch.tensor(self._grid.image_size)
        outside = ((ends < 0) | (ends > size) | (starts < 0) | (starts > size)).any(dim=1)
        is_region = radii_px[owner] > 0
        blind = weights_of(torch.zeros_like(seen))
        seen = torch.where((outside & is_region)[:, None, None], blind, seen)
        return make_regions(owner, regions.offsets, seen, regions.radii, wanted).to(device)

    @staticmethod
    def _weights(one: Known) -> Tensor:
        if not one.radius_px or one.structure is None:
            return torch.eye(2)[None]
        return weights_of(one.structure)
