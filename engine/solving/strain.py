# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a drag may take a latent from those that the model was trained on.

Two distances, in coordinates along the principal components of W (see ``latent_space``): that of
the mean of the layers from the mean of W, and that of the layers from their mean. A generator was
trained on layers that are all alike, and on means that are rarely farther than the root of the
number of components. Beyond that images blur and tear, whether or not the handles come closer. So
a step ends where the layers are as far apart as they may be, and a drag whose targets are beyond
that ends with its best row. Where a local change would lead the mean too far, the rest of a step is
the least change of the coordinates, a more typical one, which may lead a little farther.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The distance of the mean of the layers, in units of the root of the number of components: that of
# a local change, and that of any.
_MEAN_OF_LOCAL, _MEAN = 1.35, 2.0
# The root mean square distance of the layers from their mean, at a freedom of 0 and of 1.
_APART = (1.0, 2.25)


class Strain:
    """The two distances of the latents of one drag, and their limits.

    A latent that begins farther off may stay as far off as it is.
    """

    def __init__(self, mean: Tensor, start: Tensor, mixing: Tensor, basis: Tensor) -> None:
        """Measure the start.

        Args:
            mean: ``w_dim`` float32, the mean of W.
            start: ``num_ws x w_dim`` float32, where coordinates are zero.
            mixing: ``L x R``, how much of each row of coordinates is added to each layer.
            basis: ``K x w_dim``, the change of w per unit of each coordinate, orthogonal rows.
        """
        centred = start[: len(mixing)] - mean
        self._start = centred @ basis.T / basis.square().sum(dim=1)
        self._mixing = mixing

    def share_of_local(self, coordinates: Tensor, change: Tensor) -> Tensor:
        """Return how much of a local change can be made, a scalar from 0 to 1.

        Args:
            coordinates: ``R x K``, where the change begins.
            change: ``R x K``.
        """
        return self._share_together(coordinates, change, _MEAN_OF_LOCAL)

    def share_of_any(self, coordinates: Tensor, change: Tensor, freedom: Tensor) -> Tensor:
        """Return how much of any change can be made, a scalar from 0 to 1.

        Args:
            coordinates: ``R x K``, where the change begins.
            change: ``R x K``.
            freedom: A scalar from 0 to 1.
        """
        here, way = self._start + self._mixing @ coordinates, self._mixing @ change
        least, most = _APART
        limit = (least + (most - least) * freedom) * math.sqrt(len(here))
        apart = _share(_apart(here), _apart(way), _apart(self._start), limit)
        return torch.minimum(apart, self._share_together(coordinates, change, _MEAN))

    def _share_together(self, coordinates: Tensor, change: Tensor, most: float) -> Tensor:
        here, way = self._start + self._mixing @ coordinates, self._mixing @ change
        limit = torch.full((), most * math.sqrt(here.shape[1]), device=here.device)
        return _share(here.mean(dim=0), way.mean(dim=0), self._start.mean(dim=0), limit)


def _apart(rows: Tensor) -> Tensor:
    return rows - rows.mean(dim=0)


def _share(here: Tensor, way: Tensor, start: Tensor, limit: Tensor) -> Tensor:
    """Return the share of a way, 0 to 1, that ends where the norm is the limit.

    If the norm was larger at the start, that is the limit.
    """
    radius = start.square().sum().sqrt().clamp(min=limit)
    along, length = (here * way).sum(), way.square().sum().clamp(min=torch.finfo().tiny)
    # Rounding can have led a little beyond the limit.
    outside = (here.square().sum() - radius.square()).clamp(max=0)
    share: Tensor = ((along.square() - length * outside).sqrt() - along) / length
    return share.clamp(0, 1)
