# SPDX-License-Identifier: GPL-3.0-or-later
"""A fixed random mapping network from factors to a curved W, as StyleGAN2 starts with.

Eight fully connected layers with leaky ReLU. The factors are divided by their standard deviation
and not by their own length, so that none of them is lost. The layers never become narrower than
W, whose 64 dimensions are more than twice the nineteen factors, so nearly every choice of weights
is injective. Three things are not as StyleGAN2 draws them. The weights are orthogonal: a product of
eight random matrices would hide some factors from the training. The input of every layer is centred
and every layer keeps the variance: otherwise all w have nearly the same direction after eight
layers. And the biases are random and not zero; their size sets how curved W is: with small ones, a
factor's direction at one point of W says nothing about the next.

The factors that change more of the picture count more, by the root of their length in the flat W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import Generator
from stylegan2.network.layers import GAIN, SLOPE, FullyConnectedLayer
from tools.suzanne import factors, uniform
from tools.suzanne.latents import GAINS

LAYERS = 8
# Standard deviation of the biases, where that of the weighted inputs is 1, and of the last layer's,
# which decides how far the mean of W is from 0. With these, 43 % of the spread of w is not linear
# in the factors.
BIAS_SPREAD = 5.0
LAST_BIAS_SPREAD = 1.5
_SAMPLES = 4_000
_SEED = 1

# Levenberg-Marquardt: number of steps, and the first damping as a share of the mean curvature.
_STEPS = 60
_DAMPING = 1e-2
# The fit ends when no factor changes by more than this.
_CONVERGED = 1e-6
# The fit may leave the box of the factors by this much; further out the map means nothing.
_FARTHEST = 1.5


@dataclass(frozen=True)
class CurvedMap:
    """The layers of the map from factors to w.

    Attributes:
        weights: ``outputs x inputs`` float64 of each layer; the first one has ``F`` inputs.
        biases: ``outputs`` float64 of each layer.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @classmethod
    def random(cls, width: int, w_dim: int) -> CurvedMap:
        """Return the map that the curved twin is trained with.

        Args:
            width: Outputs of all layers but the last.
            w_dim: Outputs of the last layer.
        """
        source = torch.Generator().manual_seed(_SEED)
        gains = torch.tensor([GAINS[name] for name in factors.FACTORS]).double().sqrt()
        shape = (_SAMPLES, len(gains))
        x = (torch.rand(shape, generator=source, dtype=torch.float64) * 2.0 - 1.0) * gains
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for outputs in [width] * (LAYERS - 1) + [w_dim]:
            weight = _orthogonal(
                torch.randn(outputs, x.shape[1], generator=source, dtype=torch.float64)
            )
            weight /= (x @ weight.t()).var(dim=0).mean().sqrt()
            spread = LAST_BIAS_SPREAD if len(weights) == LAYERS - 1 else BIAS_SPREAD
            bias = spread * torch.randn(outputs, generator=source, dtype=torch.float64)
            biases.append(bias - weight @ x.mean(dim=0))
            weights.append(weight)
            x = _activate(x @ weight.t() + biases[-1])
        weights[0] = weights[0] * gains
        return cls(tuple(weights), tuple(biases))

    @classmethod
    def of(cls, generator: Generator) -> CurvedMap:
        """Read the map from a generator whose mapping network ``install`` has set.

        Raises:
            ValueError: The mapping network has another number of layers, or too few units.
        """
        layers = _layers(generator)
        if len(layers) != LAYERS + 1:
            raise ValueError(f"the mapping network has {len(layers)} layers, not {LAYERS + 1}")
        weights = [(layer.weight * layer.weight_gain).double() for layer in layers[1:]]
        biases = [(layer.bias * layer.bias_gain).double() for layer in layers[1:]]
        units = uniform.KNOTS * len(factors.FACTORS)
        if weights[0].shape[1] < units:
            raise ValueError(f"the mapping network has fewer than {units} units")
        read, constants = uniform.reading(weights[0].shape[1])
        weights[0] = weights[0] @ torch.linalg.pinv(read)
        biases[0] = biases[0] - weights[0] @ constants
        return cls(tuple(weights), tuple(biases))

    def install(self, generator: Generator) -> None:
        """Set a mapping network, in place, to the way from z to factors followed by this map.

        The first layer is that of ``uniform``; the second reads the factors from it and applies
        this map's first layer.
        """
        first, *others = _layers(generator)
        width = first.weight.shape[0]
        uniform.set_layer(first, *uniform.knots_layer(generator.z_dim, width))
        read, constants = uniform.reading(width)
        weights, biases = list(self.weights), list(self.biases)
        biases[0] = biases[0] + weights[0] @ constants
        weights[0] = weights[0] @ read
        for layer, weight, bias in zip(others, weights, biases, strict=True):
            uniform.set_layer(layer, weight, bias)

    def __call__(self, values: Tensor) -> Tensor:
        """Return w, ``N x w_dim`` float32, of factors ``N x F``."""
        return self._apply(values.double()).float()

    def factors(self, w: Tensor) -> Tensor:
        """Return the factors whose w is nearest, by damped least squares.

        Args:
            w: ``N x w_dim`` float32, not necessarily a point of the map.

        Returns:
            ``N x F`` float32, at most ``_FARTHEST`` from 0.
        """
        wanted = w.double()
        values = self._first_guess(wanted).clamp(-_FARTHEST, _FARTHEST)
        damping = torch.full((len(w), 1), _DAMPING, dtype=torch.float64)
        at, slope = self._with_derivative(values)
        error = (wanted - at).square().sum(dim=1)
        for _ in range(_STEPS):
            square = slope.transpose(1, 2) @ slope
            mean = square.diagonal(dim1=1, dim2=2).mean(dim=1, keepdim=True)
            damped = square + torch.diag_embed((damping * mean).expand_as(values))
            pull = torch.einsum("now,no->nw", slope, wanted - at)
            step = torch.linalg.solve(damped, pull)
            tried = (values + step).clamp(-_FARTHEST, _FARTHEST)
            tried_at, tried_slope = self._with_derivative(tried)
            tried_error = (wanted - tried_at).square().sum(dim=1)
            better = tried_error < error
            moved = (tried - values).abs().amax(dim=1)
            values = torch.where(better[:, None], tried, values)
            at = torch.where(better[:, None], tried_at, at)
            slope = torch.where(better[:, None, None], tried_slope, slope)
            error = torch.where(better, tried_error, error)
            damping = torch.where(better[:, None], damping / 3.0, damping * 4.0).clamp(1e-9, 1e9)
            if float(moved.max()) < _CONVERGED:
                break
        return values.float()

    def _apply(self, values: Tensor) -> Tensor:
        """Return w of factors, both float64."""
        x = values
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = _activate(x @ weight.t() + bias)
        return x

    def _with_derivative(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return w, ``N x w_dim``, and its derivative ``N x w_dim x F``, both float64."""
        x = values
        slope = torch.eye(values.shape[1], dtype=torch.float64).expand(len(values), -1, -1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            y = x @ weight.t() + bias
            bend = torch.where(y > 0.0, GAIN, SLOPE * GAIN)
            x, slope = _activate(y), bend[:, :, None] * (weight @ slope)
        return x, slope

    def _first_guess(self, w: Tensor) -> Tensor:
        """Return the factors by a linear fit over random factors."""
        source = torch.Generator().manual_seed(0)
        shape = (_SAMPLES, self.weights[0].shape[1])
        values = torch.rand(shape, generator=source, dtype=torch.float64) * 2.0 - 1.0
        x = self._apply(values)
        mean = x.mean(dim=0)
        guess: Tensor = (w - mean) @ torch.linalg.lstsq(x - mean, values).solution
        return guess


def _orthogonal(weight: Tensor) -> Tensor:
    """Return a matrix of the same shape with orthonormal columns, or rows if it is wide."""
    is_tall = weight.shape[0] >= weight.shape[1]
    q, r = torch.linalg.qr(weight if is_tall else weight.t())
    rotation: Tensor = q * r.diagonal().sign()  # the decomposition is unique up to these signs
    return rotation if is_tall else rotation.t()


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE) * GAIN


def _layers(generator: Generator) -> Sequence[FullyConnectedLayer]:
    """Return the layers of a mapping network without labels, in order."""
    layers = []
    for index in range(generator.config.num_layers):
        layer = generator.mapping.get_submodule(f"fc{index}")
        assert isinstance(layer, FullyConnectedLayer)  # by its name in stylegan2
        layers.append(layer)
    return layers
