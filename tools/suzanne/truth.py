# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the factors of a latent, and the latent of factors, in models whose W is made of factors.

Only the model's file is needed. The built-in model's W is linear in the factors, and the linear map
is found by least squares from the mapping network. The curved twin's map is read from the layers of
its mapping network, and inverted by damped least squares. A model that was trained without factors
has no such map: ``truth_of`` returns None.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from stylegan2 import Generator
from tools.suzanne.curved import CurvedMap
from tools.suzanne.factors import FACTORS, NUM_COARSE
from tools.suzanne.latents import COARSE_LATENTS
from tools.suzanne.uniform import factors_of

_SAMPLES = 4_000
_LARGEST_RESIDUE = 0.05


class Truth(Protocol):
    """The map between factors and latents of a model.

    Attributes:
        residue: Root mean square of the mapping network's deviation from the map, as a share of
            the spread of w.
    """

    residue: float

    def latents(self, values: Tensor) -> Tensor:
        """Return the latents of factors ``N x F``: ``N x num_ws x w_dim``, equal in all layers."""

    def factors(self, w: Tensor) -> Tensor:
        """Return the factors ``... x F`` that come nearest to w ``... x w_dim``."""

    def twin(self, latent: Tensor, start: Tensor) -> Tensor:
        """Return the ideal result of a drag with the pose and shape of its actual result.

        Args:
            latent: The result of the drag, ``num_ws x w_dim`` float32.
            start: The latent before the drag, the same shape.

        Returns:
            ``num_ws x w_dim`` float32, with light and colours of ``start``.
        """


def truth_of(generator: Generator) -> Truth | None:
    """Return the map of a model, or None if its W is not made of the factors."""
    for kind in (FactorMap, CurvedFactorMap):
        try:
            return kind(generator)
        except ValueError:
            continue
    return None


def _samples(generator: Generator) -> tuple[Tensor, Tensor]:
    """Return factors ``N x F`` of random z and their w ``N x w_dim`` by the mapping network."""
    z = torch.randn(_SAMPLES, generator.z_dim, generator=torch.Generator().manual_seed(0))
    return factors_of(z), generator.mapping(z)[:, 0]


def _deviation(found: Tensor, w: Tensor) -> float:
    return float(((found - w).square().sum() / (w - w.mean(dim=0)).square().sum()).sqrt())


class FactorMap:
    """The linear map from factors to W, and its inverse.

    Attributes:
        residue: Root mean square of the deviation from the map, as a share of the spread of w.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator) -> None:
        """Fit the map.

        Raises:
            ValueError: The model's W is not linear in the factors of ``tools.suzanne.factors``.
        """
        self._num_ws = generator.num_ws
        if generator.z_dim < len(FACTORS):
            raise ValueError("the model's z is smaller than the number of factors")
        values, w = _samples(generator)
        design = torch.cat([values, torch.ones(len(values), 1)], dim=1)
        solution = torch.linalg.lstsq(design, w).solution
        self.residue = _deviation(design @ solution, w)
        if self.residue > _LARGEST_RESIDUE:
            raise ValueError(
                "the model's W is not a linear map of the factors of this version of "
                f"tools/suzanne: it deviates by {self.residue:.0%}; use the built-in model of the "
                "same version"
            )
        self._directions, self._origin = solution[: len(FACTORS)], solution[len(FACTORS)]
        self._inverse = torch.linalg.pinv(self._directions)

    def latents(self, values: Tensor) -> Tensor:
        """Return the latents of factors ``N x F``: ``N x num_ws x w_dim``, equal in all layers."""
        w: Tensor = values @ self._directions + self._origin
        return w[:, None].expand(-1, self._num_ws, -1)

    def factors(self, w: Tensor) -> Tensor:
        """Return the factors ``... x F`` of w ``... x w_dim``; ignores other directions of W."""
        values: Tensor = (w - self._origin) @ self._inverse
        return values

    def twin(self, latent: Tensor, start: Tensor) -> Tensor:
        """Return the ideal result of a drag with the pose and shape of its actual result.

        Pose and shape are the means over the first ``COARSE_LATENTS`` layers of ``latent``; light
        and colours are those of ``start``. The first layers are all equal, the others are those of
        ``start``.

        Args:
            latent: The result of the drag, ``num_ws x w_dim`` float32.
            start: The latent before the drag, the same shape.

        Returns:
            ``num_ws x w_dim`` float32.
        """
        now, before = self.factors(latent[:COARSE_LATENTS]).mean(dim=0), self.factors(start[0])
        wanted = torch.cat([now[:NUM_COARSE], before[NUM_COARSE:]])
        return torch.cat([self.latents(wanted[None])[0, :COARSE_LATENTS], start[COARSE_LATENTS:]])


class CurvedFactorMap:
    """The map of the curved twin from factors to W, and its nearest inverse.

    Attributes:
        residue: Root mean square of the mapping network's deviation from the map, as a share of
            the spread of w.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator) -> None:
        """Read the map from the mapping network.

        Raises:
            ValueError: The mapping network was not made by ``curved``.
        """
        self._num_ws = generator.num_ws
        self._map = CurvedMap.of(generator)
        values, w = _samples(generator)
        self.residue = _deviation(self._map(values), w)
        if not self.residue <= _LARGEST_RESIDUE:
            raise ValueError(
                "the model's mapping network is not that of the curved twin: it deviates by "
                f"{self.residue:.0%}"
            )

    def latents(self, values: Tensor) -> Tensor:
        """Return the latents of factors ``N x F``: ``N x num_ws x w_dim``, equal in all layers."""
        return self._map(values)[:, None].expand(-1, self._num_ws, -1)

    def factors(self, w: Tensor) -> Tensor:
        """Return the factors ``... x F`` whose w is nearest to w ``... x w_dim``."""
        return self._map.factors(w.reshape(-1, w.shape[-1])).reshape(*w.shape[:-1], len(FACTORS))

    def twin(self, latent: Tensor, start: Tensor) -> Tensor:
        """Return the ideal result of a drag with the pose and shape of its actual result.

        All layers of the twin are alike and control everything. Pose and shape are those of the
        mean of the first ``COARSE_LATENTS`` layers of ``latent``, light and colours those of
        ``start``; all layers of the result are equal.

        Args:
            latent: The result of the drag, ``num_ws x w_dim`` float32.
            start: The latent before the drag, the same shape.

        Returns:
            ``num_ws x w_dim`` float32.
        """
        ends = torch.stack([latent[:COARSE_LATENTS].mean(dim=0), start[0]])
        now, before = self.factors(ends)
        return self.latents(torch.cat([now[:NUM_COARSE], before[NUM_COARSE:]])[None])[0]
