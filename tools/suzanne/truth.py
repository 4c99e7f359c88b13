# SPDX-License-Identifier: GPL-3.0-or-later
"""What a latent of the built-in model stands for: its W is linear in the factors.

Found by least squares from the mapping network, that is, from nothing but the model's file.
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
    """From factors to W and back.

    Attributes:
        residue: root mean square of what is not linear, as a share of the spread of w.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator) -> None:
        """Fit the map.

        Raises:
            ValueError: the model's W is not linear in the factors of `tools.suzanne`.
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
                "the model's W is no linear map of the factors of this version of tools/suzanne: "
                f"{self.residue:.0%} of it is left over; use the built-in model of the same version"
            )
        self._directions, self._origin = solution[: len(FACTORS)], solution[len(FACTORS)]
        self._inverse = torch.linalg.pinv(self._directions)

    def latents(self, values: Tensor) -> Tensor:
        """The latents of factors `N x F`: `N x num_ws x w_dim` float32, all layers alike."""
        w: Tensor = values @ self._directions + self._origin
        return w[:, None].expand(-1, self._num_ws, -1)

    def factors(self, w: Tensor) -> Tensor:
        """The factors `... x F` of `... x w_dim`; what no factor has is left out."""
        values: Tensor = (w - self._origin) @ self._inverse
        return values

    def twin(self, latent: Tensor, start: Tensor) -> Tensor:
        """The latent that a drag should have come to, given the pose and shape that it came to.

        Pose and shape are those that the first layers of `latent` have on average; light and
        colours are those of `start`; and all first layers agree.

        Args:
            latent, start: `num_ws x w_dim` float32.
        """
        now, before = self.factors(latent[:COARSE_LATENTS]).mean(dim=0), self.factors(start[0])
        wanted = torch.cat([now[:NUM_COARSE], before[NUM_COARSE:]])
        return torch.cat([self.latents(wanted[None])[0, :COARSE_LATENTS], start[COARSE_LATENTS:]])
