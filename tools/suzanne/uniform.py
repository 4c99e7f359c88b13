# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from z to the factors: exactly, and as the first layer of a mapping network.

A mapping network normalises z to the sphere, where each coordinate is close to standard normal, so
that ``u_k = 2 Phi(z_k) - 1`` is a uniform factor; the coordinates beyond the factors are not used.
The first layer computes leaky ReLUs with knots along each coordinate. A weighted sum of them
approximates ``2 Phi - 1`` by least squares, so the next layer can read the factors linearly.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2.network.layers import GAIN, SLOPE, FullyConnectedLayer
from stylegan2.network.mapping import normalize_second_moment
from tools.suzanne import factors

# Knots along each coordinate, and the position of the outermost ones in standard deviations.
KNOTS = 10
FARTHEST_KNOT = 2.4


def factors_of(z: Tensor) -> Tensor:
    """Return the factors of z: ``N x z_dim`` to ``N x F`` in [-1, 1], float32."""
    coordinates = normalize_second_moment(z)[:, : len(factors.FACTORS)]
    return torch.erf(coordinates / math.sqrt(2.0))


def fit_knots(knots: Tensor) -> tuple[Tensor, float]:
    """Fit ``2 Phi(x) - 1`` by a weighted sum of leaky ReLUs of ``x - knots`` plus a constant.

    The fit is least squares over the quantiles of the normal distribution.

    Args:
        knots: ``K`` float64.

    Returns:
        The weights, ``K`` float64, and the constant.
    """
    quantiles = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    x = torch.special.ndtri(quantiles)
    bends = F.leaky_relu(x[:, None] - knots, SLOPE) * GAIN
    design = torch.cat([bends, torch.ones_like(x)[:, None]], dim=1)
    solution = torch.linalg.lstsq(design, (2.0 * quantiles - 1.0)[:, None]).solution[:, 0]
    return solution[:-1], float(solution[-1])


def knots_layer(z_dim: int, width: int) -> tuple[Tensor, Tensor]:
    """Return weight ``width x z_dim`` and bias ``width``, float32, of the first layer.

    Unit ``KNOTS k + j`` has knot ``j`` of factor ``k``; the remaining units are 0.

    Raises:
        ValueError: The layer has too few units.
    """
    count = len(factors.FACTORS)
    if width < KNOTS * count:
        raise ValueError(f"the first layer needs {KNOTS * count} units, but it has {width}")
    weight, bias = torch.zeros(width, z_dim), torch.zeros(width)
    for factor in range(count):
        units = slice(factor * KNOTS, (factor + 1) * KNOTS)
        weight[units, factor] = 1.0
        bias[units] = -_knots().float()
    return weight, bias


def reading(width: int) -> tuple[Tensor, Tensor]:
    """Return how the factors are read from the first layer: ``units @ weight.t() + bias``.

    Returns:
        ``F x width`` and ``F``, float64.
    """
    count = len(factors.FACTORS)
    slopes, constant = fit_knots(_knots())
    weight = torch.zeros(count, width, dtype=torch.float64)
    for factor in range(count):
        weight[factor, factor * KNOTS : (factor + 1) * KNOTS] = slopes
    return weight, torch.full((count,), constant, dtype=torch.float64)


def set_layer(layer: FullyConnectedLayer, weight: Tensor, bias: Tensor) -> None:
    """Set a layer, in place, so that it computes with exactly these weights and biases."""
    with torch.no_grad():
        layer.weight.copy_(weight / layer.weight_gain)
        layer.bias.copy_(bias / layer.bias_gain)


def _knots() -> Tensor:
    return torch.linspace(-FARTHEST_KNOT, FARTHEST_KNOT, KNOTS, dtype=torch.float64)
