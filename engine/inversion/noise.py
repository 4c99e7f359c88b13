# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise maps: the fine details of a picture that no latent has, such as hair and pores.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), appendix D: the noise
maps are optimised together with the latent. A regulariser keeps them noise, so that they hold no
signal of the picture that the latent should: neighbours must not be alike, at any of several
resolutions. After each step every map has its mean and its variance again; those of the model's own
map are kept, so that the search starts from the model's own image.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from stylegan2 import Generator

from ..differences import Change, Difference, noise_buffers, quantised
from ..errors import RequestError

# What the regulariser counts. The paper has 1e5 and a thousand steps; in the hundred steps here,
# maps would hardly change. With 1, neighbours are still less alike than those of random maps.
_WEIGHT = 1.0
# The shorter side of the smallest map that the regulariser looks at.
_SMALLEST_PX = 8


@dataclass(frozen=True)
class FoundNoise:
    """The noise maps of a picture.

    Attributes:
        changes: Key of a noise map -> its change, see ``Difference``.
        generator: The model with these noise maps, as it is after loading.
        error: Mean absolute difference of picture and image, a share of the range of values.
    """

    changes: dict[str, Change]
    generator: Generator
    error: float


def require_noise(generator: Generator) -> None:
    """Refuse a model on whose images noise maps have no effect.

    Raises:
        RequestError: It has no noise inputs, or all of them have the strength 0.
    """
    if not _seen_maps(generator):
        raise RequestError(
            "noise maps change nothing in this model: it has no noise inputs, or they count "
            "nothing; turn the noise off"
        )


def _seen_maps(generator: Generator) -> dict[str, Tensor]:
    """Return the noise maps by key, without those of the strength 0, which have no effect."""
    weights = dict(generator.named_parameters())
    return {
        key: noise
        for key, noise in noise_buffers(generator).items()
        if bool(weights[key.removesuffix("noise_const") + "noise_strength"])
    }


class NoiseMaps:
    """The noise maps of a generator while they are optimised; those without effect stay."""

    def __init__(self, generator: Generator) -> None:
        """Start with the maps of the generator, which is not changed.

        Raises:
            RequestError: Noise maps change nothing in this model.
        """
        require_noise(generator)
        self._generator = generator
        self._before = _seen_maps(generator)
        # Of mean 0 and variance 1.
        self._maps = {
            key: nn.Parameter(_normalised(buffer)) for key, buffer in self._before.items()
        }

    def parameters(self) -> list[nn.Parameter]:
        """Return what an optimiser changes, ``H x W`` float32 for each map."""
        return list(self._maps.values())

    def image(self, latents: Tensor) -> Tensor:
        """Return the images of latents with the maps, ``N x C x H x W``."""
        used = {key.removeprefix("synthesis."): value for key, value in self._used().items()}
        image: Tensor = functional_call(self._generator.synthesis, used, (latents,))
        return image

    def penalty(self) -> Tensor:
        """Return what the maps cost, one number."""
        return _WEIGHT * torch.stack([likeness(noise) for noise in self._maps.values()]).sum()

    def _used(self) -> dict[str, Tensor]:
        return {
            key: noise * _deviation(self._before[key]) + self._before[key].mean()
            for key, noise in self._maps.items()
        }

    @torch.no_grad()
    def normalise(self) -> None:
        """Give each map its mean and its variance; to be called after each step."""
        for noise in self._maps.values():
            noise.copy_(_normalised(noise))

    def snapshot(self) -> dict[str, Tensor]:
        """Return the maps as they are now."""
        return {key: noise.detach() for key, noise in self._used().items()}

    def changes(self, maps: Mapping[str, Tensor]) -> dict[str, Change]:
        """Return how maps of ``snapshot`` differ from those of the generator, as it is stored."""
        return {key: quantised(noise - self._before[key]) for key, noise in maps.items()}


def with_changes(generator: Generator, changes: Mapping[str, Change]) -> Generator:
    """Return a changed copy of a generator."""
    return Difference("", "", "", changes).apply(copy.deepcopy(generator))


def likeness(noise: Tensor) -> Tensor:
    """Return how much neighbours in a map are alike: the sum of squares of autocorrelations.

    Args:
        noise: ``H x W`` float32 of mean 0 and variance 1; it repeats beyond its borders.
    """
    level = noise[None, None]
    total = noise.new_zeros(())
    while True:
        for axis in (2, 3):
            total = total + (level * level.roll(1, axis)).mean().square()
        if min(level.shape[2:]) <= _SMALLEST_PX:
            return total
        # The mean of four independent values has half their standard deviation.
        level = F.avg_pool2d(level, 2) * 2


def _normalised(noise: Tensor) -> Tensor:
    return (noise.detach() - noise.detach().mean()) / _deviation(noise.detach())


def _deviation(noise: Tensor) -> Tensor:
    return noise.std(unbiased=False).clamp(min=1e-8)
