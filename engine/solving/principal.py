# SPDX-License-Identifier: GPL-3.0-or-later
"""The principal components of W: the directions in which the images of a generator differ.

Haerkoenen et al., "GANSpace: Discovering Interpretable GAN Controls", section 3.1, sample the
mapping network and take the components of its output.  W has a few hundred dimensions only, so that
the covariance of the samples is decomposed exactly.

The tail is cut: in most trained networks W lies close to a sheet of fewer dimensions than it has
numbers, and beyond that sheet images tear.  Kept are the first components that together hold
`VARIANCE_KEPT` of the variance, and of these the ones wider than `LEAST_WIDTH` of the widest.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..inputs import device_of

VARIANCE_KEPT = 0.999
LEAST_WIDTH = 1e-3

_SAMPLES = 10_000
_BATCH = 500
_SEED = 0


@dataclass(frozen=True)
class PrincipalComponents:
    """The K components of W that are kept, the widest first.

    Attributes:
        directions: `K x w_dim` float32, orthonormal rows; the entry of the largest size is
            positive, so that the sign does not depend on the machine.
        sigmas: `K` float32, the standard deviation of W along each.
    """

    directions: Tensor
    sigmas: Tensor

    def scaled(self) -> Tensor:
        """`K x w_dim`: each direction as long as one standard deviation."""
        return self.directions * self.sigmas[:, None]

    def spread(self) -> Tensor:
        """How far an entry of w is from the average's, root mean square: a scalar."""
        return (self.sigmas.square().sum() / self.directions.shape[1]).sqrt()


_KNOWN: weakref.WeakKeyDictionary[Generator, PrincipalComponents] = weakref.WeakKeyDictionary()


def principal_components(generator: Generator) -> PrincipalComponents:
    """The components of a generator, on its device; computed once for each generator.

    A model with labels is sampled over all of its classes, each as likely as the next.
    """
    known = _KNOWN.get(generator)
    if known is None or known.sigmas.device != device_of(generator):
        known = _KNOWN[generator] = decompose(_samples(generator))
    return known


def decompose(ws: Tensor) -> PrincipalComponents:
    """The components of samples of W.

    Args:
        ws: `N x w_dim` float32.

    Returns:
        At least one component, on the device of the samples.
    """
    values = ws.double().cpu()
    centred = values - values.mean(dim=0)
    variances, vectors = torch.linalg.eigh(centred.T @ centred / (len(ws) - 1))
    variances = variances.flip(0).clamp(min=0)
    shares = variances.cumsum(0) / variances.sum()
    wide = variances.sqrt() > LEAST_WIDTH * variances[0].sqrt()
    # A component is kept while those before it have not reached the share.
    count = max(1, int((wide & (shares - variances / variances.sum() < VARIANCE_KEPT)).sum()))
    directions = vectors.T.flip(0)[:count]
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return PrincipalComponents(
        directions=(directions * largest.sign()).to(ws),
        sigmas=variances[:count].sqrt().to(ws),
    )


@torch.no_grad()
def _samples(generator: Generator) -> Tensor:
    """`N x w_dim` float32: w of random z, without truncation."""
    source = np.random.RandomState(_SEED)
    device = device_of(generator)
    rows = []
    # In batches: the mapping repeats each w for every layer.
    for _ in range(_SAMPLES // _BATCH):
        z = source.randn(_BATCH, generator.z_dim).astype(np.float32)
        label: Tensor | None = None
        if generator.c_dim:
            classes = source.randint(generator.c_dim, size=_BATCH)
            label = torch.from_numpy(np.eye(generator.c_dim, dtype=np.float32)[classes]).to(device)
        rows.append(generator.mapping(torch.from_numpy(z).to(device), label)[:, 0])
    return torch.cat(rows)
