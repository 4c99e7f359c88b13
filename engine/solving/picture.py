# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag does to the picture away from its handles, and what such a change costs.

The least change of the latent is not the least change of the picture: in standard deviations of W
it is cheap to turn a whole head so that one ear comes to lie higher. So the picture is measured as
well. ``slopes_of_picture`` gives the derivative J of a coarse picture along each component, and
``seen_away`` the products ``J^T D J``: how much two components change the picture together, where D
leaves out what lies near the ways of the handles, which is meant to change.

In a curved W the derivative is soon another one. So the picture itself is looked at again at each
step: ``Away.of_change`` gives its change so far as the derivative sees it, ``J^T D (P - P0)``.

The derivative is that of a change that all layers make together. A change of one layer alone is
counted as its share of such a change; the layers' deviations from each other are not measured.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan2 import Generator, plan_windows

from ..features.source import FeatureGrid

# The block whose picture is measured. That of the 16 px block is faster, but holds less: see
# docs/methods.md.
PICTURE_PX = 32
# How many of the widest components are measured: at most the second number, and at least the first;
# between them as many as this many multiplications allow, about a second on two cores. A narrower
# one counts like the least visible of these.
_MEASURED = (8, 64)
_MULTIPLY_ADDS = 5e10
# The length of a difference along a component, units of its coordinate.
_DIFFERENCE = 0.1
# Pictures computed at once, to limit the memory.
_BATCH = 4
# Around the way of a handle the picture may change: up to half of this distance it counts nothing,
# and from one and a half of it on fully. In pixels of a picture of 128 px.
_NEAR_PX = 12.0
PX_OF_LENGTHS = 128.0
# How many latents' slopes are kept for a generator: bakes of several edits take turns.
_KEPT = 4

_SLOPES: weakref.WeakKeyDictionary[Generator, dict[bytes, Slopes]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The ways of P pairs, in image pixels.

    Attributes:
        homes_px: ``P x 2`` float32, where the handles were in the image that the edit began with.
        targets_px: ``P x 2`` float32.
        radii_px: ``P`` float32, the radii of regions, 0 for a plain handle.
        rims_px: ``P`` float32, how far turn and scale move the rim of a region, 0 for a plain one.
    """

    homes_px: Tensor
    targets_px: Tensor
    radii_px: Tensor
    rims_px: Tensor


@dataclass(frozen=True, kw_only=True)
class Slopes:
    """A coarse picture and its derivative along the k widest components.

    Attributes:
        picture: ``C x h x w`` float32, see ``coarse_picture``.
        along: ``k x C x h x w`` float32, the change per unit of each coordinate.
    """

    picture: Tensor
    along: Tensor


@dataclass(frozen=True, kw_only=True)
class Away:
    """What changes of K components do to the picture away from the ways of handles.

    Attributes:
        seen: ``K x K`` float32, symmetric, ``J^T D J`` divided by the mean of its diagonal.
    """

    seen: Tensor
    _weights: Tensor
    _rows: Tensor

    @property
    def measured(self) -> int:
        """How many components, the first ones, change the picture together; see ``seen_away``."""
        return len(self._rows)

    @torch.no_grad()
    def of_change(self, change: Tensor) -> Tensor:
        """Return what has become of the picture, as the components see it.

        Args:
            change: ``C x h x w`` float32, the difference of two coarse pictures.

        Returns:
            ``K`` float32: where the derivative holds, the product of ``seen`` with the change of
            the components between the two.
        """
        found = self.seen.new_zeros(len(self.seen))
        found[: len(self._rows)] = self._rows @ (change * self._weights).flatten()
        return found


@torch.no_grad()
def coarse_picture(generator: Generator, latent: Tensor) -> Tensor:
    """Return the picture of a latent, ``num_ws x w_dim``, that changes are measured in.

    Returns:
        ``C x h x w`` float32; the larger of h and w is ``PICTURE_PX``, or less on a smaller model.
    """
    return _coarse_pictures(generator, latent[None])[0]


def _coarse_pictures(generator: Generator, latents: Tensor) -> Tensor:
    pictures: Tensor = generator.synthesis(
        latents, noise_mode="const", resolution=_block_of(generator)
    )
    return pictures


def _block_of(generator: Generator) -> int:
    return min(PICTURE_PX, generator.resolutions[-1])


@torch.no_grad()
def slopes_of_picture(
    generator: Generator,
    latent: Tensor,
    components: Tensor,
    num_layers: int,
    between: Callable[[], None] = lambda: None,
) -> Slopes:
    """Return the coarse picture and its derivative along the widest components.

    It is computed once for a latent, by finite differences.

    Args:
        generator: Frozen, on the device to compute on.
        latent: ``num_ws x w_dim`` float32.
        components: ``K x w_dim`` float32, the principal components of W, the widest first, each
            with the length of one unit of its coordinate; always the same for a generator.
        num_layers: How many of the first w vectors change.
        between: Called between parts of the computation; it may raise to end it.
    """
    known = _SLOPES.setdefault(generator, {})
    key = latent.cpu().numpy().tobytes() + bytes([num_layers])
    slopes = known.pop(key, None)
    if slopes is None or slopes.picture.device != latent.device:
        slopes = _differences(generator, latent, components, num_layers, between)
    known[key] = slopes
    while len(known) > _KEPT:
        known.pop(next(iter(known)))
    return slopes


def _differences(
    generator: Generator,
    latent: Tensor,
    components: Tensor,
    num_layers: int,
    between: Callable[[], None],
) -> Slopes:
    components = components[: _count(generator)]
    latents = latent.repeat(len(components) + 1, 1, 1)
    latents[1:, :num_layers] += _DIFFERENCE * components[:, None]
    parts = []
    for part in torch.split(latents, _BATCH):
        between()
        parts.append(_coarse_pictures(generator, part))
    pictures = torch.cat(parts)
    along: Tensor = (pictures[1:] - pictures[0]) / _DIFFERENCE
    return Slopes(picture=pictures[0], along=along)


def _count(generator: Generator) -> int:
    """Return how many components are measured; it depends on the network alone."""
    least, most = _MEASURED
    block = _block_of(generator)
    one = plan_windows(generator.config, block, 1, 1, least_crop=block).multiply_adds
    return min(most, max(least, int(_MULTIPLY_ADDS / one)))


@torch.no_grad()
def seen_away(slopes: Slopes, grid: FeatureGrid, paths: Paths, count: int) -> Away:
    """Return how much components change the picture away from the ways of handles.

    Args:
        slopes: See ``slopes_of_picture``.
        grid: Its ``image_size`` is that of the paths.
        paths: The ways of the pairs.
        count: K, the number of components; those after the first k count like the least visible of
            the k, and change nothing together with others.
    """
    roots = _weights(grid, paths, *slopes.picture.shape[1:]).sqrt()
    rows = (slopes.along * roots).flatten(1)
    measured = rows @ rows.T
    diagonal = measured.diagonal()
    mean = diagonal.mean().clamp(min=torch.finfo().tiny)
    seen = torch.diag_embed(diagonal.min().expand(count)).clone()
    seen[: len(rows), : len(rows)] = measured
    return Away(seen=seen / mean, _weights=roots, _rows=rows / mean)


def _weights(grid: FeatureGrid, paths: Paths, rows: int, columns: int) -> Tensor:
    """Return the weight of each place of the coarse picture, ``rows x columns``, 0 to 1."""
    width, height = grid.image_size
    device = paths.homes_px.device
    x = (torch.arange(columns, device=device) + 0.5) * (width / columns)
    y = (torch.arange(rows, device=device) + 0.5) * (height / rows)
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    ways = (paths.targets_px - paths.homes_px)[:, None, None]
    offsets = places - paths.homes_px[:, None, None]
    lengths = ways.square().sum(dim=-1).clamp(min=torch.finfo().eps)
    along = ((offsets * ways).sum(dim=-1) / lengths).clamp(0, 1)
    distances = (offsets - along[..., None] * ways).norm(dim=-1) - paths.radii_px[:, None, None]
    # A pin makes no room: what is around it is meant to stay.
    stays = (paths.targets_px == paths.homes_px).all(dim=1) & (paths.radii_px + paths.rims_px == 0)
    stays = stays & ~stays.all()
    distances = distances.masked_fill(stays[:, None, None], math.inf)
    near = _NEAR_PX * max(width, height) / PX_OF_LENGTHS
    weights: Tensor = (distances.amin(dim=0) / near - 0.5).clamp(0, 1)
    return weights
