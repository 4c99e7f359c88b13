# SPDX-License-Identifier: GPL-3.0-or-later
"""How damaged a picture looks: how far its details are from those of any render.

The landmark detector's features at an eighth of the picture's width describe what each place and
its surroundings look like. Those of many renders are summed up in ``CENTRES`` typical ones
(k-means). In a whole picture each place is close to one of them; where a picture is torn, smeared
or melted, it is not. (The distance to the nearest stored feature is the anomaly score of Roth et
al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022.)

``python -m tools.bench.local.damage --renders FOLDER`` makes the stored features from the shards of
``tools.suzanne.render``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from draggan_blender.protocol.atomic_files import replacing
from engine.arrays import ByteArray

from ..landmarks import WEIGHTS, Detector, LandmarkNet

DATA = Path(__file__).with_name("data") / "features.npz"
# The number of stored features.
CENTRES = 1024
# The score is the mean over this share of the places of a picture, those that are farthest away.
_WORST_SHARE = 0.05
# Features of this many places are used at once in k-means, this many times.
_AT_ONCE, _PASSES = 30_000, 8
# Renders that are read.
_RENDERS = 900
_BATCH = 50
# A picture is called torn if its score has risen since the start by more than the first, or the
# error that the detector predicts for its own result (px of 128) by more than the second.
# ``docs/local.md`` says how they were found.
TORN_SCORE, TORN_ERROR_PX = 0.65, 0.8


class Damage:
    """Measures pictures with a detector's features."""

    def __init__(self, detector: Detector, path: Path = DATA) -> None:
        """Read the stored features.

        Raises:
            OSError: The file is missing; this module's command makes it.
        """
        self._network = detector.network
        self._size_px = detector.size_px
        with np.load(path, allow_pickle=False) as stored:
            self._mean = torch.from_numpy(stored["mean"])
            self._spread = torch.from_numpy(stored["spread"])
            self._centres = torch.from_numpy(stored["centres"].astype(np.float32))

    def score(self, image: ByteArray) -> float:
        """Return how far the strangest places of a picture are from those of renders.

        Args:
            image: ``H x W x 3`` uint8; it is resized to the detector's size if necessary.

        Returns:
            A distance in standard deviations of the features; about 7 for a render.
        """
        features = place_features(self._network, as_batch(image[None], self._size_px))[0]
        scaled = (features.flatten(1).t() - self._mean) / self._spread
        distances = torch.cdist(scaled, self._centres).amin(dim=1)
        count = max(1, round(_WORST_SHARE * len(distances)))
        return float(distances.topk(count).values.mean())


def is_torn(score_rise: float, error_rise_px: float) -> bool:
    """Return whether a picture looks torn, by how both gauges have risen since the start."""
    return score_rise > TORN_SCORE or error_rise_px > TORN_ERROR_PX


@torch.no_grad()
def place_features(network: LandmarkNet, pixels: Tensor) -> Tensor:
    """Return the features of each place with its neighbours.

    Args:
        network: The detector's network.
        pixels: ``B x 3 x S x S`` float32 in [-1, 1].

    Returns:
        ``B x C x S/8 x S/8`` float32: the levels at a quarter and at an eighth of the width.
    """
    level = F.relu(network.down[0](pixels))
    levels = []
    for down, encode in zip(network.down[1:3], network.encode[:2], strict=True):
        level = encode(F.relu(down(level)))
        levels.append(level)
    both = torch.cat([F.avg_pool2d(levels[0], 2), levels[1]], dim=1)
    return F.avg_pool2d(both, 3, stride=1, padding=1, count_include_pad=False)


def as_batch(images: ByteArray, size_px: int) -> Tensor:
    """Return pictures ``N x H x W x 3`` uint8 as ``N x 3 x S x S`` float32 in [-1, 1]."""
    pixels = torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    if pixels.shape[2:] != (size_px, size_px):
        size = (size_px, size_px)
        pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    return pixels


def typical(features: Tensor, count: int) -> Tensor:
    """Return typical features by k-means on random parts.

    Args:
        features: ``N x C`` float32.
        count: The number of typical ones, K.

    Returns:
        ``K x C`` float32.
    """
    random = torch.Generator().manual_seed(0)
    centres = features[torch.randperm(len(features), generator=random)[:count]].clone()
    for _ in range(_PASSES):
        part = features[torch.randperm(len(features), generator=random)[:_AT_ONCE]]
        nearest = torch.cdist(part, centres).argmin(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, part)
        counts = torch.bincount(nearest, minlength=count).float()[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1.0), centres)
    return centres


def main() -> None:
    """Make the stored features from renders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renders", type=Path, required=True, help="folder of the shards")
    options = parser.parse_args()
    detector = Detector.load(WEIGHTS)
    parts: list[Tensor] = []
    count = 0
    for path in sorted(options.renders.glob("*.npz")):
        with np.load(path, allow_pickle=False) as shard:
            images = shard["images"][: _RENDERS - count]
        for first in range(0, len(images), _BATCH):
            batch = as_batch(images[first : first + _BATCH], detector.size_px)
            parts.append(place_features(detector.network, batch).permute(0, 2, 3, 1).flatten(0, 2))
        count += len(images)
        if count == _RENDERS:
            break
    features = torch.cat(parts)
    mean, spread = features.mean(dim=0), features.std(dim=0)
    centres = typical((features - mean) / spread, CENTRES)
    with replacing(DATA) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            mean=mean.numpy(),
            spread=spread.numpy(),
            centres=centres.numpy().astype(np.float16),
        )
    print(f"{count} renders, {len(features)} places")


if __name__ == "__main__":
    main()
