# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the factors of a latent of the built-in model, whose W is linear in the factors.

The linear map is found by least squares from the mapping network, so only the model's file is
needed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylegan2 import Generator
from tools.suzanne.distill import factors_of
from tools.suzanne.factors import FACTORS, NUM_COARSE
from tools.suzanne.latents import COARSE_LATENTS

_SAMPLES = 4_000
_LARGEST_RESIDUE = 0.05


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
        z = torch.randn(_SAMPLES, generator.z_dim, generator=torch.Generator().manual_seed(0))
        values, w = factors_of(z), generator.mapping(z)[:, 0]
        design = torch.cat([values, torch.ones(len(values), 1)], dim=1)
        solution = torch.linalg.lstsq(design, w).solution
        off = (design @ solution - w).square().sum() / (w - w.mean(dim=0)).square().sum()
        self.residue = float(off.sqrt())
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
