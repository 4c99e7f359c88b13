# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the looks of what handles move: further equations of the least squares.

A step may move the content of a handle by painting over it, and the handle is then tracked onto
something else. So the change of the features of its disc is divided into what a small shift of the
disc explains, which is its motion, and the rest, which is a change of its looks. Two numbers say
how far the looks of a handle have changed since the start, as shares of the size of its *pattern*,
the features without their mean over the disc: how much weaker the pattern is, and how large what is
new beside it is. Steps are asked to bring both back to zero. Over the last pixels of its way, the
*fade*, a handle is asked for this less and less, so that it does not stop just before its target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...features.source import Windows
from ..structure import slopes_at
from .displacement import displacement_solver

# Looks that are all gone weigh as much as a handle that misses its wanted displacement by so many
# reaches, if it has to go as far as the fade, in reaches, or farther. See docs/methods.md.
_WEIGHT, FADE = 4 / 3, 1.5
# A pattern smaller than this share of the features' spread is not told from noise.
_LEAST_PATTERN = 0.1


@torch.no_grad()
def looks_of(
    windows: Windows, handles: Tensor, patch: Tensor, first: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how the looks of handles depend on the windows, and how far they have changed.

    Args:
        windows: Windows that extend at least the patch plus ``structure.SLOPE_REACH`` around the
            handles.
        handles: ``P x 2`` feature positions.
        patch: ``Q x 2`` feature pixels, the offsets of a disc.
        first: ``P x Q x C``, the features of the discs at the start.
        spread: The spread of the feature map, a scalar.

    Returns:
        ``2 x P x S x S x C``, factors of the windows' values: the products' sums are the numbers,
        but for a constant. And ``2 x P``, the numbers.
    """
    positions = handles[:, None] + patch
    slopes = slopes_at(windows, positions)
    solver = displacement_solver(windows, positions)

    def unmoved(features: Tensor) -> Tensor:
        """Return what no shift of the disc explains, ``P x (Q C)``, of a change of its features."""
        flat = features.flatten(1)[..., None]
        return (flat - slopes.transpose(1, 2) @ (solver @ flat))[..., 0]

    pattern = first - first.mean(dim=1, keepdim=True)
    size = pattern.square().mean(dim=(1, 2)).sqrt().maximum(_LEAST_PATTERN * spread)
    size = size * pattern[0].numel() ** 0.5
    own = _unit(unmoved(pattern))
    changed = unmoved(windows.sample(positions) - first)
    weaker = (changed * own).sum(dim=1)
    new = changed - weaker[:, None] * own
    factors = torch.stack([own, _unit(new)]) / size[:, None]
    numbers = torch.stack([weaker, new.norm(dim=1)]) / size
    return windows.of_samples(positions, factors.reshape(2, *first.shape)), numbers


def weights_of_looks(ways: Tensor, reach: float, fade: float = FADE) -> Tensor:
    """Return how much the looks of handles count, feature pixels.

    Args:
        ways: ``P``, how far the handles still have to go, feature pixels.
        reach: The longest step, feature pixels.
        fade: Over how many reaches before the target the looks count less and less.
    """
    weights: Tensor = _WEIGHT * reach * (ways / (fade * reach)).clamp(max=1)
    return weights


def _unit(rows: Tensor) -> Tensor:
    lengths: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / lengths.clamp(min=torch.finfo().tiny)
