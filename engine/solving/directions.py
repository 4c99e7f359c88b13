# SPDX-License-Identifier: GPL-3.0-or-later
"""The directions of a model that sliders move along, found from its weights and its W.

- *Principal* directions are those in which the model's own w differ most: the principal components
  of W (Haerkoenen et al., "GANSpace: Discovering Interpretable GAN Controls"; see ``principal``).
- *Factorised* directions are those that change the styles of some layers most: the eigenvectors of
  ``A^T A``, where A are the weights that make styles of a w in these layers (Shen and Zhou,
  "Closed-Form Factorization of Latent Semantics in GANs", called SeFa), for the coarse, the middle
  and the fine layers each. Only directions that W extends along are looked at: outside of its
  components, images break.

A strength of 1 is one standard deviation of W along the direction, in both.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from draggan_blender.protocol.directions import Direction
from stylegan2 import Generator

from ..arrays import FloatArray
from .principal import PrincipalComponents, oriented, principal_components

# How many directions of each kind are offered.
MOST_PRINCIPAL, MOST_FACTORISED = 24, 8
# The ranges of layers, by the largest resolution of their blocks, as StyleGAN's authors use the
# words; None for all further ones.
RANGES: tuple[tuple[str, int | None], ...] = (("Coarse", 8), ("Middle", 32), ("Fine", None))


def find_directions(generator: Generator) -> list[Direction]:
    """Return the principal directions of a model, and the factorised ones of each range.

    The result depends on the model alone, its signs included.

    Args:
        generator: On any device.
    """
    components = principal_components(generator)
    last = generator.num_ws - 1
    found = [
        Direction(name=f"Direction {number}", change=_row(change), first=0, last=last)
        for number, change in enumerate(components.scaled()[:MOST_PRINCIPAL], start=1)
    ]
    for word, first, last in layer_ranges(generator):
        scaled = factorised(generator, components, first, last)
        found += [
            Direction(name=f"{word} {number}", change=_row(change), first=first, last=last)
            for number, change in enumerate(scaled[:MOST_FACTORISED], start=1)
        ]
    return found


def layer_ranges(generator: Generator) -> list[tuple[str, int, int]]:
    """Return the name of each range, and the first and the last of its layers, counted from 0.

    A small model may lack the last ranges.
    """
    config, found, first = generator.config, [], 0
    for word, top in RANGES:
        sizes = [size for size in config.resolutions if top is None or size <= top]
        is_last = sizes[-1] == config.resolutions[-1]
        last = (generator.num_ws if is_last else config.layers_below(sizes[-1])) - 1
        if last >= first:
            found.append((word, first, last))
        first = last + 1
    return found


@torch.no_grad()
def factorised(
    generator: Generator, components: PrincipalComponents, first: int, last: int
) -> Tensor:
    """Return the factorised directions of some layers, each as long as one standard deviation.

    Args:
        generator: On any device.
        components: Those of the generator.
        first: The first layer, counted from 0.
        last: The last one, included.

    Returns:
        ``K x w_dim`` float32, in order of how much a step of one length changes the styles.
    """
    basis = components.directions.cpu().double()
    weights = torch.cat(styles(generator)[first : last + 1]).cpu().double() @ basis.T
    _, vectors = torch.linalg.eigh(weights.T @ weights)
    directions = oriented(vectors.T.flip(0) @ basis)
    along = directions @ components.scaled().cpu().double().T
    sigmas = along.square().sum(dim=1, keepdim=True).sqrt()
    return (directions * sigmas).to(components.directions)


def styles(generator: Generator) -> list[Tensor]:
    """Return for each layer of a latent the weights, ``C x w_dim``, that make the styles of its w.

    They are those of the convolution that takes the w; the last w is that of a toRGB layer alone.
    """
    blocks = [generator.synthesis.block(size) for size in generator.config.resolutions]
    affines = [
        layer.affine
        for block in blocks
        for layer in ([block.conv1] if block.is_first else [block.conv0, block.conv1])
    ]
    affines.append(blocks[-1].torgb.affine)
    return [affine.weight * affine.weight_gain for affine in affines]


def _row(change: Tensor) -> FloatArray:
    row: FloatArray = np.array(change.cpu().numpy()[None], dtype=np.float32)
    return row
