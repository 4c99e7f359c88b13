# SPDX-License-Identifier: GPL-3.0-or-later
"""The Frechet distance between two sets of pictures, in features of this project's own detector.

It is the measure of Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
Local Nash Equilibrium" (2017), section 1, but not with the features of a network for photographs:
it has those of the landmark detector (``tools.bench.landmarks``), which was trained on renders of
Suzanne. So its numbers compare models of Suzanne with each other, and with nothing else.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.bench.landmarks import LandmarkNet

_BATCH = 50
_SIZE_PX = 128


@torch.no_grad()
def features(network: LandmarkNet, images: Tensor) -> Tensor:
    """Return mean and maximum of the detector's deepest map, relative to no other pictures.

    Args:
        network: The detector, in evaluation mode.
        images: ``N x 3 x S x S`` float32 in [-1, 1]; enlarged to the detector's size if smaller.

    Returns:
        ``N x 128`` float64.
    """
    parts = []
    for part in images.clamp(-1.0, 1.0).split(_BATCH):
        x = part
        if x.shape[-1] != _SIZE_PX:
            x = F.interpolate(x, size=(_SIZE_PX, _SIZE_PX), mode="bilinear", antialias=True)
        deepest = network.deepest(x)
        parts.append(torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], dim=1))
    return torch.cat(parts).double()


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the squared Frechet distance of two sets, each taken as normally distributed.

    Args:
        first: ``N x D`` float64.
        second: ``M x D`` float64.

    Returns:
        ``|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))``.
    """
    difference = first.mean(dim=0) - second.mean(dim=0)
    covariance_1, covariance_2 = torch.cov(first.t()), torch.cov(second.t())
    # The trace of (C1 C2)^(1/2) is the sum of the roots of the eigenvalues of S C2 S, S = C1^(1/2).
    values, axes = torch.linalg.eigh(covariance_1)
    root = axes * values.clamp(min=0.0).sqrt() @ axes.t()
    common = torch.linalg.eigvalsh(root @ covariance_2 @ root).clamp(min=0.0).sqrt().sum()
    spread = covariance_1.trace() + covariance_2.trace() - 2.0 * common
    return float(difference.square().sum() + spread)


def feature_distance(network: LandmarkNet, first: Tensor, second: Tensor) -> float:
    """Return ``frechet_distance`` of two sets of images in units of the second set's spread.

    Each feature is divided by its standard deviation over ``second``, so that no single one
    decides.

    Args:
        network: The detector, in evaluation mode.
        first: ``N x 3 x S x S`` float32, nominally in [-1, 1].
        second: The same for ``M`` images; usually renders.

    Returns:
        At least 0, divided by the number of features.
    """
    wanted = features(network, second)
    deviation = wanted.std(dim=0).clamp(min=1e-3)
    found = features(network, first) / deviation
    return frechet_distance(found, wanted / deviation) / wanted.shape[1]
