# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether handles are still on the content that they were placed on: a second opinion, at the end.

A tracker follows a handle from step to step, and can slide onto something else, which then arrives
at the target in its place. So when a drag has ended, each handle is searched once more, from the
image in which it began, along the straight line of latents from there (see ``anchor``). Where both
ways of searching disagree, the content was lost on at least one of them, and usually on both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..arrays import FloatArray
from ..features.source import FeatureGrid
from .anchor import Anchor
from .options import DragOptions
from .pair_points import Known
from .regions import Regions

# If both searches end farther apart than this, feature pixels, the handle was lost.
LOST_BEYOND = 1.25


def find_lost(
    generator: Generator,
    options: DragOptions,
    grid: FeatureGrid,
    known: Sequence[Known],
    regions: Regions | None,
    points_px: FloatArray,
    latent: Tensor,
) -> tuple[bool, ...]:
    """Return for each pair whether the content at its handle was lost.

    Args:
        generator: Frozen, on the device to compute on.
        options: The options of the drag.
        grid: The sizes of the image and of the feature map.
        known: The P pairs, and the images that they began in.
        regions: The regions that the points belong to; None if all pairs are plain.
        points_px: ``K x 2`` float32, where the drag tracked the points, image pixels.
        latent: ``num_ws x w_dim`` float32, the latent that the drag ended with.
    """
    counts = [len(one.starts_px) for one in known]
    tracked = np.split(points_px, np.cumsum(counts)[:-1])
    found = [np.empty_like(part) for part in tracked]
    end = latent.cpu().numpy()
    for start in {id(one.latent): one.latent for one in known}.values():
        pairs = [number for number, one in enumerate(known) if one.latent is start]
        starts_px = np.concatenate([known[number].starts_px for number in pairs])
        believed_px = np.concatenate([tracked[number] for number in pairs])
        anchor = Anchor(generator, start.cpu().numpy(), starts_px, options)
        again = anchor.find(end, believed_px)
        sizes = np.cumsum([counts[number] for number in pairs])[:-1]
        for number, part in zip(pairs, np.split(again, sizes), strict=True):
            found[number] = part
    places = [
        grid.to_feature(torch.from_numpy(np.concatenate(parts))) for parts in (tracked, found)
    ]
    if regions is None:
        apart = (places[0] - places[1]).norm(dim=1)
    else:
        on_cpu = regions.to(torch.device("cpu"))
        poses = [on_cpu.poses(part) for part in places]
        apart = on_cpu.with_wanted(poses[0]).distances(poses[1])
    return tuple((apart > LOST_BEYOND).tolist())
