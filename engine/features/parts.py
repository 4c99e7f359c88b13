# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a picture: a tree of areas with alike features, each joined of two that touch.

The features of a StyleGAN tell the parts of what it shows apart, without any training: clusters of
them are eyes, mouths, ears (Collins et al., "Editing in Style", CVPR 2020, by spherical k-means on
one layer over many images), and the features of all layers together tell more than one layer does
(Zhang et al., "DatasetGAN", CVPR 2021; Tritrong et al., "Repurposing GANs for One-shot Semantic
Part Segmentation", CVPR 2021). Here there is one image, and a person who clicks. So the features of
all blocks up to ``GRID`` pixels are used, each place by its direction only, as in spherical
k-means; and the places are joined to larger and larger areas, always two that touch and whose join
adds least to the squares of the distances from the areas' means (Ward, "Hierarchical Grouping to
Optimize an Objective Function", 1963). So every area is connected, and growing is going up a tree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylegan2 import Canvas, Generator

from ..arrays import FloatArray

# The largest block whose features are used; its pixels are the smallest areas.
GRID = 64
# How many principal components of the features of each block are kept: the rest is noise, and time.
_COMPONENTS = 16
# The weight of a place's position, from -1 to 1 along the longer side, beside features of which
# each block has a length of at most 1.
_POSITION = 0.5

_Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PartTree:
    """A tree of areas; see ``protocol.parts.PartsFound`` for the numbers of its nodes.

    Attributes:
        shape: The rows and columns of cells.
        parents: ``2 N - 1`` int32 for N cells.
        heights: ``N - 1`` float32.
    """

    shape: tuple[int, int]
    parents: _Ints
    heights: FloatArray


@torch.no_grad()
def find_parts(generator: Generator, latent: Tensor, canvas: Canvas | None = None) -> PartTree:
    """Return the parts of a picture.

    Args:
        generator: Frozen, on the device to compute on.
        latent: ``num_ws x w_dim`` float32.
        canvas: The picture that the latent belongs to; None for a picture of one latent.
    """
    blocks = [block for block in generator.resolutions if block <= GRID]
    shape = generator.config.block_shape(blocks[-1])
    described = []
    for block in blocks:
        source = generator if canvas is None else canvas
        directions = _principal(_directions(source.features(latent[None], block)[0]))
        described.append(
            torch.nn.functional.interpolate(
                directions[None], shape, mode="bilinear", align_corners=False
            )[0]
        )
    features = torch.cat(described) / len(blocks) ** 0.5
    places = _POSITION * _positions(shape).to(features)
    return merge_tree(torch.cat([features, places]).permute(1, 2, 0).cpu().numpy())


def _directions(features: Tensor) -> Tensor:
    """Return features ``C x H x W`` of which each place has the length 1, around their mean."""
    centred = features.float() - features.float().mean(dim=(1, 2), keepdim=True)
    directions: Tensor = centred / centred.norm(dim=0, keepdim=True).clamp(min=1e-6)
    return directions


def _principal(features: Tensor) -> Tensor:
    """Return the first principal components of features ``C x H x W``, ``K x H x W``."""
    channels, height, width = features.shape
    rows = features.flatten(1)
    rows = rows - rows.mean(dim=1, keepdim=True)
    count = min(_COMPONENTS, channels, height * width)
    # Of the two products, which have the same eigenvalues, the smaller one is decomposed.
    if channels <= height * width:
        vectors = torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -count:]
        found = vectors.T @ rows
    else:
        values, vectors = torch.linalg.eigh(rows.T @ rows)
        found = (vectors * values.clamp(min=0.0).sqrt())[:, -count:].T
    components: Tensor = found.reshape(count, height, width)
    return components


def _positions(shape: tuple[int, int]) -> Tensor:
    """Return x and y of each cell, ``2 x H x W``, from -1 to 1 along the longer side."""
    rows, columns = shape
    y, x = ((torch.arange(size) + 0.5) * 2.0 - size for size in shape)
    grid = torch.stack([x[None, :].expand(rows, columns), y[:, None].expand(rows, columns)])
    positions: Tensor = grid / max(shape)
    return positions


def merge_tree(features: FloatArray) -> PartTree:
    """Join the places of a map to areas until there is one.

    In each round, all pairs of neighbours are joined of which each is the best partner of the
    other. That takes some forty rounds instead of the thousands of joining the best pair of all
    each time, and the tree is nearly the same: a join seldom makes another pair better.

    Args:
        features: ``H x W x C`` float32.
    """
    height, width, channels = features.shape
    count = height * width
    means = features.reshape(count, channels).astype(np.float32)
    sizes = np.ones(count, dtype=np.float32)
    # Each area is kept in the row of one of its cells; this is its node.
    nodes = np.arange(count)
    parents = np.full(2 * count - 1, -1, dtype=np.int32)
    heights = np.zeros(2 * count - 1, dtype=np.float32)
    edges, next_node = _neighbours(height, width), count
    while len(edges):
        costs = _costs(means, sizes, edges)
        chosen = _mutual(edges, costs, count)
        kept, gone = edges[chosen].T
        new = np.arange(next_node, next_node + len(chosen))
        next_node += len(chosen)
        parents[nodes[kept]] = parents[nodes[gone]] = new
        below = np.maximum(heights[nodes[kept]], heights[nodes[gone]])
        heights[new] = np.maximum(below, costs[chosen])
        both = sizes[kept] + sizes[gone]
        share = (sizes[gone] / both)[:, None]
        means[kept] += (means[gone] - means[kept]) * share
        sizes[kept], nodes[kept] = both, new
        edges = _joined(edges, kept, gone, count)
    return PartTree((height, width), parents, heights[count:])


def _neighbours(height: int, width: int) -> NDArray[np.int64]:
    """Return the pairs of cells that touch, ``E x 2``, the smaller number first."""
    cells = np.arange(height * width).reshape(height, width)
    across = np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()], axis=1)
    down = np.stack([cells[:-1].ravel(), cells[1:].ravel()], axis=1)
    return np.concatenate([across, down])


def _costs(means: FloatArray, sizes: FloatArray, edges: NDArray[np.int64]) -> FloatArray:
    """Return by how much each join adds to the sum of squares, ``E`` float32."""
    first, second = edges.T
    gaps = means[first] - means[second]
    n, m = sizes[first], sizes[second]
    costs: FloatArray = np.einsum("ec,ec->e", gaps, gaps) * (n * m / (n + m))
    return costs


def _mutual(edges: NDArray[np.int64], costs: FloatArray, count: int) -> NDArray[np.int64]:
    """Return the pairs that are the best one of both their areas, the best of all first."""
    order = np.argsort(costs, kind="stable")
    best = np.full(count, -1)
    # Of several pairs that are written for one area, the last one stays: the best.
    worst_first = order[::-1]
    best[edges[worst_first].ravel()] = np.repeat(worst_first, 2)
    first, second = edges[order].T
    mutual: NDArray[np.int64] = order[(best[first] == order) & (best[second] == order)]
    return mutual


def _joined(
    edges: NDArray[np.int64], kept: NDArray[np.int64], gone: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return the pairs that touch after joins, each once."""
    rows = np.arange(count)
    rows[gone] = kept
    moved = np.sort(rows[edges], axis=1)
    moved = moved[moved[:, 0] != moved[:, 1]]
    keys = np.unique(moved[:, 0] * count + moved[:, 1])
    return np.stack([keys // count, keys % count], axis=1)
