# SPDX-License-Identifier: GPL-3.0-or-later
"""The price of a change of the latent: between what is typical of the model and what is local.

There is one space of changes: a change along the principal components of W that all layers make
together, and one that each layer makes alone. What such a change x costs is ``x^T G x`` with

    G = P^-1 + a m m^T (x) S

P is the prior: how freely layers may differ from each other, relative to a common change. S says
how much components change the picture away from the handles (``picture``), m how much of a common
change each row of coordinates makes, and (x) is the Kronecker product. With ``a = 0`` the least
change is the most typical one, which may move the whole picture; with a large ``a``, and with
layers that are free, it is the most local one. *Freedom*, from 0 to 1, sets both at once.

How free a drag should be depends on what it asks for. Handles that move all over the picture ask
for another pose, which is a common change, and so does a large region. A handle that is pulled
alone, or handles that are close together, mean a part; those that stay where they are do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from draggan_blender.protocol.settings import DragSettings

from ..features.source import FeatureGrid
from .picture import PX_OF_LENGTHS, Paths

# The latent spaces in which changes have the price of a freedom.
SPACES_WITH_FREEDOM = ("automatic", "by_hand")
# The freedom of a drag that chooses it: where the handles mean a part, and where they mean a pose;
# and the first of the two where no second attempt with less follows, or a mask holds softly. See
# docs/methods.md.
LOCAL, COMMON = 0.8, 0.0
SURE = DragSettings().freedom
# The weight of the picture, and how much freer a layer's own change is than in the space
# ``principal``, at a freedom of 1.
_LARGEST_WEIGHT = 100.0
_LOOSEST = 6.0
# Handles mean one pose if they are at least as broad as the second length, and a part up to the
# first, in pixels of a picture of 128 px; see ``breadth_px``.
_BREADTHS_PX = (12.0, 18.0)
# What is near a handle can be moved alone on a way up to the first length; on one of the second
# length or more, the freedom is this share of the difference nearer to that of a pose.
_WAYS_PX = (12.0, 28.0)
_LONG = 0.6
# The least size of a system of equations that is solved as a part of a larger one.
_LEAST_BLOCK = 64


class Metric:
    """``G``, the cost of changes of R rows of K coordinates."""

    def __init__(
        self, prior: Tensor, shares: Tensor, seen: Tensor, measured: int | None = None
    ) -> None:
        """Compute what is needed to multiply by G and by its inverse.

        Args:
            prior: ``R``, the diagonal of P.
            shares: ``R``, m.
            seen: ``K x K``, ``a S``, symmetric and positive.
            measured: How many of the K components, the first ones, do something together; the
                others count alike, each alone. None for all of them.
        """
        self._prior, self._shares, self._seen = prior, shares, seen
        self._weighted = prior * shares
        # By Woodbury's identity: only the common part of a change costs more than in the prior.
        common = (self._weighted * shares).sum()
        self._saved = _saved(seen, common, len(seen) if measured is None else measured)

    def apply(self, change: Tensor) -> Tensor:
        """Return ``G x`` for x of size ``... x (R K)``."""
        rows = self._rows(change)
        common = torch.einsum("r,...rk->...k", self._shares, rows) @ self._seen
        result = rows / self._prior[:, None] + self._shares[:, None] * common[..., None, :]
        return result.flatten(-2)

    def invert(self, change: Tensor) -> Tensor:
        """Return ``G^-1 x`` for x of size ``... x (R K)``."""
        rows = self._rows(change)
        common = torch.einsum("r,...rk->...k", self._weighted, rows) @ self._saved.T
        result = rows * self._prior[:, None] - self._weighted[:, None] * common[..., None, :]
        return result.flatten(-2)

    def undo(self, so_far: Tensor, taken_back: float, seen_again: Tensor) -> Tensor:
        """Return the change whose opposite takes back a part of a change, of size ``R K``.

        Where the picture has changed as ``S`` says, that is ``taken_back`` times the change.

        Args:
            so_far: ``R K``, the change.
            taken_back: The share of it that is taken back, 0 to 1.
            seen_again: ``K``, what a common change of this share would have to do to the picture,
                ``a S c``, as far as it has changed away from the handles.
        """
        rows = taken_back * self._rows(so_far) / self._prior[:, None]
        return self.invert((rows + self._shares[:, None] * seen_again).flatten())

    def _rows(self, change: Tensor) -> Tensor:
        return change.reshape(*change.shape[:-1], len(self._prior), len(self._seen))


def _saved(seen: Tensor, common: Tensor, measured: int) -> Tensor:
    """Return ``(1 + c S)^-1 S``, ``K x K``.

    Only the first components are solved for together; all 512 of a large model would take a good
    part of the time of a step. They are a block of at least a certain size, in which the solver's
    sums are those of the whole, so that the result does not depend on this to the last bit.

    Args:
        seen: ``K x K``, S.
        common: A scalar, c.
        measured: As for ``Metric``.
    """
    block = min(len(seen), max(measured + 1, _LEAST_BLOCK))
    part = seen[:block, :block]
    one = torch.eye(block, device=seen.device)
    solved: Tensor = torch.linalg.solve_ex(one + common * part, part).result
    if block == len(seen):
        return solved
    # The last of the block is one of those that count alike. The memory order is the solver's: the
    # products with the result depend on it in the last bit.
    result = torch.diag_embed(solved[-1, -1].expand(len(seen))).clone().T
    result[:block, :block] = solved
    return result


def metric_of(freedom: Tensor, mixing: Tensor, seen: Tensor, measured: int | None = None) -> Metric:
    """Return the metric of a freedom.

    Args:
        freedom: A scalar from 0 to 1.
        mixing: ``L x R``, how much of each row of coordinates is added to each layer: the common
            row first, then one for each layer.
        seen: ``K x K``, S.
        measured: As for ``Metric``.
    """
    looser = (1 + (_LOOSEST - 1) * freedom.square()).square()
    prior = torch.cat([torch.ones_like(looser)[None], looser.expand(len(mixing))])
    return Metric(prior, mixing.mean(dim=0), weight_of_picture(freedom) * seen, measured)


def weight_of_picture(freedom: Tensor) -> Tensor:
    """Return ``a`` of a freedom, a scalar from 0 to 1."""
    return _LARGEST_WEIGHT * freedom**3


def chosen_freedom(paths: Paths, grid: FeatureGrid) -> Tensor:
    """Return the freedom of a drag that chooses it, a scalar.

    Args:
        paths: The ways of the pairs.
        grid: Its ``image_size`` is that of the paths.
    """
    unit = PX_OF_LENGTHS / max(grid.image_size)
    way = (paths.targets_px - paths.homes_px).norm(dim=1).amax() * unit
    broad = _between(breadth_px(paths) * unit, _BREADTHS_PX)
    return LOCAL + (COMMON - LOCAL) * torch.maximum(broad, _LONG * _between(way, _WAYS_PX))


def is_pose(paths: Paths, image_px: int) -> bool:
    """Return whether handles rather mean a pose than a part; a GPU is waited for.

    Args:
        paths: The ways of the pairs.
        image_px: The longer side of the image that they are in, pixels.
    """
    return float(breadth_px(paths)) * PX_OF_LENGTHS / image_px > sum(_BREADTHS_PX) / 2


def breadth_px(paths: Paths) -> Tensor:
    """Return how broad the part is that handles and regions move, a scalar, image pixels.

    It is the root mean square distance of what they move from its centre. Each counts with the
    square of its way; how long all ways are does not matter.
    """
    moved = (paths.targets_px - paths.homes_px).square().sum(dim=1) + paths.rims_px.square()
    weights = moved / moved.sum().clamp(min=torch.finfo().tiny)
    centre = (weights[:, None] * paths.homes_px).sum(dim=0)
    squares = (paths.homes_px - centre).square().sum(dim=1)
    # The mean square distance of a disc from its centre is half of its radius squared.
    return (weights * (squares + paths.radii_px.square() / 2)).sum().sqrt()


def _between(value: Tensor, limits: tuple[float, float]) -> Tensor:
    least, most = limits
    return ((value - least) / (most - least)).clamp(0, 1)
