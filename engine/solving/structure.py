# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the content of an image can be followed: the structure of the features at a point.

A point is followed by the features of the disc around it. Where these do not differ from those
beside the disc, as on a plain background, every place looks like every other, and a handle finds
itself wherever it looks. The structure tensor of a disc tells: the mean of ``grad F^T grad F`` over
its positions and channels (Shi and Tomasi, "Good Features to Track", 1994). The root of its larger
eigenvalue is how much the features change from one pixel to the next in the direction in which they
change most; that of the smaller one is close to zero on an outline, which can be followed across
but not along.

Features are compared in units of their spread in the generator's average image, so the numbers do
not depend on the scale of a network's features.
"""

from __future__ import annotations

import math
import weakref

import torch
from torch import Tensor

from stylegan2 import Canvas, Generator

from ..features.choice import open_source
from ..features.source import FeatureGrid, Windows, spread_of
from ..inputs import device_of

# A slope is the difference of two samples, each at this distance, feature pixels.
SLOPE_REACH = 0.5
# A disc whose features change by less than this share of their spread from one pixel to the next,
# in whatever direction, is flat.
FLAT_BELOW = 0.12
# What a handle counts that shows nothing at all.
_LEAST_SHARE = 0.01
# Near the border of a map the features differ because of the border, whatever the image shows:
# this far from it, in feature pixels, they no longer do.
_BORDER = 3.0

_SPREADS: weakref.WeakKeyDictionary[Generator, dict[int, Tensor]] = weakref.WeakKeyDictionary()


def slopes_at(windows: Windows, positions: Tensor) -> Tensor:
    """Return the slopes of the features at positions.

    Args:
        windows: Windows that extend at least ``SLOPE_REACH`` around the positions.
        positions: ``P x Q x 2`` feature positions, Q for each window.

    Returns:
        ``P x 2 x (Q C)`` float32: the change of each feature per pixel in x and in y.
    """
    right, down = SLOPE_REACH * torch.eye(2, device=positions.device)
    return torch.stack(
        [
            windows.sample(positions + right) - windows.sample(positions - right),
            windows.sample(positions + down) - windows.sample(positions - down),
        ],
        dim=1,
    ).flatten(2)


@torch.no_grad()
def feature_spread(generator: Generator, resolution: int) -> Tensor:
    """Return the spread of a generator's features in its average image, a scalar.

    It is computed once for each generator and block; see ``features.source.spread_of``.

    Args:
        generator: Frozen.
        resolution: The feature block.
    """
    known = _SPREADS.setdefault(generator, {})
    spread = known.get(resolution)
    if spread is None or spread.device != device_of(generator):
        average = generator.mapping.w_avg.expand(generator.num_ws, -1)
        features = generator.features(average[None], resolution)[0]
        spread = known[resolution] = spread_of(features).clamp(min=torch.finfo().tiny)
    return spread


@torch.no_grad()
def structure_at(
    generator: Generator,
    resolution: int,
    latent: Tensor,
    points: Tensor,
    offsets: Tensor,
    canvas: Canvas | None = None,
) -> Tensor:
    """Return the structure of the features of a latent at points.

    Args:
        generator: Frozen, on the device to compute on.
        resolution: The feature block.
        latent: ``num_ws x w_dim`` float32.
        points: ``P x 2`` feature positions. Discs that reach into the border of the map are moved
            away from it.
        offsets: ``Q x 2`` feature pixels, the disc around each point.
        canvas: The picture that the latent belongs to; None for a picture of one latent.

    Returns:
        ``P x 2 x 2`` float32, symmetric: the mean over the disc and the channels of the products of
        the slopes in x and in y, in squares of the features' spread per pixel.
    """
    source = open_source(
        generator,
        resolution,
        latent,
        num_layers=generator.num_ws,
        points=len(points),
        canvas=canvas,
    )
    reach = float(offsets.abs().max())
    centres = _inside(source.grid, points, _BORDER + reach)
    radius = math.ceil(0.5 + reach + SLOPE_REACH)
    windows = source.observe(latent, centres, radius).windows
    slopes = slopes_at(windows, centres[:, None] + offsets)
    spread = feature_spread(generator, resolution)
    structure: Tensor = slopes @ slopes.transpose(1, 2) / (slopes.shape[2] * spread.square())
    return structure


def _inside(grid: FeatureGrid, points: Tensor, margin: float) -> Tensor:
    """Return points ``P x 2``, moved to at least a margin from the border of the map."""
    moved = []
    for axis, size in zip(points.unbind(1), grid.feature_size, strict=True):
        least = min(margin, (size - 1) / 2)
        moved.append(axis.clamp(least, size - 1 - least))
    return torch.stack(moved, dim=1)


def eigenvalues(structure: Tensor) -> tuple[Tensor, Tensor]:
    """Return the smaller and the larger eigenvalue of ``P x 2 x 2`` symmetric matrices, P each."""
    x, y, both = structure[:, 0, 0], structure[:, 1, 1], structure[:, 0, 1]
    middle = (x + y) / 2
    difference = torch.hypot((x - y) / 2, both)
    return (middle - difference).clamp(min=0), middle + difference


def shares_seen(structure: Tensor) -> Tensor:
    """Return how much handles count beside each other, by what can be seen at them.

    Args:
        structure: ``P x 2 x 2``, see ``structure_at``.

    Returns:
        ``P`` float32, 1 for a handle that is not flat, and close to 0 for one that shows nothing.
    """
    return (eigenvalues(structure)[1] / FLAT_BELOW**2).clamp(_LEAST_SHARE, 1)


def is_flat(structure: Tensor) -> Tensor:
    """Return whether the content of discs cannot be followed.

    Args:
        structure: ``P x 2 x 2``, see ``structure_at``.

    Returns:
        ``P`` bool.
    """
    return eigenvalues(structure)[1].sqrt() < FLAT_BELOW
