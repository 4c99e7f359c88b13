# SPDX-License-Identifier: GPL-3.0-or-later
"""The principal components of W: the directions in which a generator's images differ.

Haerkoenen et al., "GANSpace: Discovering Interpretable GAN Controls", section 3.1, sample the
mapping network and take the principal components of its output. W has only a few hundred
dimensions, so the covariance of the samples is decomposed exactly.

The narrowest components are dropped: in most trained networks W lies close to a subspace of fewer
dimensions than a w has entries, and outside this subspace images break. The first components that
together hold ``VARIANCE_KEPT`` of the variance are kept, except those whose standard deviation is
at most ``LEAST_WIDTH`` times the largest.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..errors import RequestError
from ..inputs import device_of

# The share of the variance of W that the kept components hold at least.
VARIANCE_KEPT = 0.999
# The smallest standard deviation of a kept component, relative to the largest.
LEAST_WIDTH = 1e-3

# Samples of W that differ by less than this, relative to the largest value, are one point.
_SAME = 1e-6
_SAMPLES = 10_000
_BATCH = 500
_SEED = 0


@dataclass(frozen=True)
class PrincipalComponents:
    """The K kept components of W, in order of descending standard deviation.

    Attributes:
        directions: ``K x w_dim`` float32, orthonormal rows. In each row the entry with the largest
            absolute value is positive, so that the sign does not depend on the computer.
        sigmas: ``K`` float32, the standard deviation of W along each direction.
        mean: ``w_dim`` float32, the mean of W.
    """

    directions: Tensor
    sigmas: Tensor
    mean: Tensor

    def scaled(self) -> Tensor:
        """Return ``K x w_dim``: each direction with the length of one standard deviation."""
        return self.directions * self.sigmas[:, None]

    def alike(self) -> Tensor:
        """Return ``K x w_dim``: each direction with their root mean square standard deviation."""
        return self.directions * self.sigmas.square().mean().sqrt()

    def spread(self) -> Tensor:
        """Return the root mean square deviation of an entry of w from its mean, a scalar."""
        return (self.sigmas.square().sum() / self.directions.shape[1]).sqrt()


_KNOWN: weakref.WeakKeyDictionary[Generator, PrincipalComponents] = weakref.WeakKeyDictionary()


def principal_components(generator: Generator) -> PrincipalComponents:
    """Return the components of a generator, on its device; computed once for each generator.

    The classes of a conditional model are sampled with equal probability.

    Raises:
        RequestError: W is one point, so that the model has only one image, or is not finite.
    """
    known = _KNOWN.get(generator)
    if known is None or known.sigmas.device != device_of(generator):
        samples = _samples(generator)
        if not bool(samples.isfinite().all()):
            raise RequestError(
                "the latents of this model hold values that are not finite; choose another "
                "checkpoint of the model"
            )
        if float((samples - samples[0]).abs().max()) <= _SAME * float(samples.abs().max()):
            raise RequestError(
                "all seeds of this model give one image, so there is nothing that a drag could "
                "change it to; choose another checkpoint of the model"
            )
        known = _KNOWN[generator] = decompose(samples)
    return known


def decompose(ws: Tensor) -> PrincipalComponents:
    """Return the principal components of samples of W.

    Args:
        ws: ``N x w_dim`` float32, N > 1.

    Returns:
        At least one component, on the device of the samples.
    """
    values = ws.cpu().double()
    mean = values.mean(dim=0)
    centred = values - mean
    variances, vectors = torch.linalg.eigh(centred.T @ centred / (len(ws) - 1))
    variances = variances.flip(0).clamp(min=0)
    shares = variances.cumsum(0) / variances.sum()
    wide = variances.sqrt() > LEAST_WIDTH * variances[0].sqrt()
    # A component is kept if the components before it hold less than the share.
    count = max(1, int((wide & (shares - variances / variances.sum() < VARIANCE_KEPT)).sum()))
    return PrincipalComponents(
        directions=oriented(vectors.T.flip(0)[:count]).to(ws),
        sigmas=variances[:count].sqrt().to(ws),
        mean=mean.to(ws),
    )


def oriented(directions: Tensor) -> Tensor:
    """Return directions, ``K x w_dim``, each or its opposite: its largest entry is positive."""
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return directions * largest.sign()


@torch.no_grad()
def _samples(generator: Generator) -> Tensor:
    """Return ``N x w_dim`` float32: w of random z, without truncation."""
    source = np.random.RandomState(_SEED)
    device = device_of(generator)
    rows = []
    # In batches to save memory: the mapping network repeats each w for every layer.
    for _ in range(_SAMPLES // _BATCH):
        z = source.randn(_BATCH, generator.z_dim).astype(np.float32)
        label: Tensor | None = None
        if generator.c_dim:
            classes = source.randint(generator.c_dim, size=_BATCH)
            label = torch.from_numpy(np.eye(generator.c_dim, dtype=np.float32)[classes]).to(device)
        rows.append(generator.mapping(torch.from_numpy(z).to(device), label)[:, 0])
    return torch.cat(rows)
