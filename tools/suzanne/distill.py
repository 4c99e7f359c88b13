# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds the mapping network and writes the model: `python -m tools.suzanne.distill --training DIR`.

The synthesis was trained on latents made from factors.  The mapping network makes them from z, so
that every latent can be reached from a seed, as in any StyleGAN2.  The mapping normalises z to the
sphere, where each coordinate is close to standard normal, so that `u_k = 2 Phi(z_k) - 1` is a
uniform factor; the coordinates beyond the factors carry nothing.

The network is not trained but built, in three layers: leaky ReLUs with knots along each coordinate
that add up to `2 Phi - 1` by least squares, the linear map from factors to w, and a layer that
takes back what the activations do.  (Trained by gradient descent from random weights, the same
network was still a third of w off after thousands of steps.)

W has no natural metric: stretching it along a factor, and shrinking the weights that read it,
changes no picture.  It changes what a drag does, though, which goes down the gradient in W: a
factor moves by the inverse square of its length.  So all lengths are set anew here, in the way in
which path length regularisation sets them in StyleGAN2's own training (Karras et al. 2020, section
3.2): a step in W changes the picture by as much, whichever way it goes.  What changes little in the
picture is then cheap for a drag: a handle on an ear lifts the ear, one on the nose turns the head.
"""

from __future__ import annotations

import argparse
import logging
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from stylegan2 import Generator, save_generator
from stylegan2.network.layers import GAIN, SLOPE, FullyConnectedLayer
from stylegan2.network.mapping import normalize_second_moment
from tools.suzanne import factors
from tools.suzanne.latents import complement_projection, factor_directions
from tools.suzanne.state import TrainingState
from tools.suzanne.train import MAPPING_FEATURES, MAPPING_LAYERS, make_generator

YAW_LENGTH = 2.5
"""Of the direction of the yaw in the W of the model; it sets the scale of all others, so that drags
with the paper's step size of 2e-3 take the paper's number of steps, some dozen."""
_PATH_STEP = 0.05
_PATH_SAMPLES = 64
UNUSED_LENGTH = 1.0
"""What one unit of W in the training, in the directions that no factor uses, is in the model."""

KNOTS = 10
FARTHEST_KNOT = 2.4
"""In standard deviations of a coordinate."""
W_AVG_SAMPLES = 100_000

log = logging.getLogger("suzanne.distill")


def factors_of(z: Tensor) -> Tensor:
    """The factors that a seed stands for: z `N x z_dim` to `N x F` in [-1, 1], float32."""
    coordinates = normalize_second_moment(z)[:, : len(factors.FACTORS)]
    return torch.erf(coordinates / math.sqrt(2.0))


def fit_knots(knots: Tensor) -> tuple[Tensor, float]:
    """Weights of the activations of `x - knots` and a constant that add up to `2 Phi(x) - 1`.

    Least squares over the quantiles of the normal distribution.
    """
    quantiles = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    x = torch.special.ndtri(quantiles)
    bends = F.leaky_relu(x[:, None] - knots, SLOPE) * GAIN
    design = torch.cat([bends, torch.ones_like(x)[:, None]], dim=1)
    solution = torch.linalg.lstsq(design, (2.0 * quantiles - 1.0)[:, None]).solution[:, 0]
    return solution[:-1], float(solution[-1])


@torch.no_grad()
def build_mapping(generator: Generator, directions: Tensor) -> float:
    """Set the mapping network to `w = factors @ directions`, in place.

    Returns the error that is left: root mean square over that of w.
    """
    mapping = generator.mapping
    layers = [mapping.get_submodule(f"fc{index}") for index in range(MAPPING_LAYERS)]
    width, count = MAPPING_FEATURES, len(directions)
    knots = torch.linspace(-FARTHEST_KNOT, FARTHEST_KNOT, KNOTS, dtype=torch.float64)
    slopes, constant = fit_knots(knots)
    bend_weight = torch.zeros(width, generator.z_dim)
    bend_bias = torch.zeros(width)
    mix_weight = torch.zeros(width, width)
    mix_bias = torch.zeros(width)
    for factor in range(count):
        units = slice(factor * KNOTS, (factor + 1) * KNOTS)
        bend_weight[units, factor] = 1.0
        bend_bias[units] = -knots.float()
        mix_weight[: generator.w_dim, units] = -torch.outer(directions[factor], slopes.float())
        mix_bias[: generator.w_dim] -= constant * directions[factor]
    # The activation of an activation of -w, times the right negative number between, is w again.
    last_weight = torch.zeros(generator.w_dim, width)
    last_weight.fill_diagonal_(-1.0 / (SLOPE * GAIN**2))
    last_bias = torch.zeros(generator.w_dim)
    weights, biases = (bend_weight, mix_weight, last_weight), (bend_bias, mix_bias, last_bias)
    for layer, weight, bias in zip(layers, weights, biases, strict=True):
        assert isinstance(layer, FullyConnectedLayer)  # stylegan2 names them so
        layer.weight.copy_(weight / layer.weight_gain)
        layer.bias.copy_(bias / layer.bias_gain)
    z = torch.randn(W_AVG_SAMPLES, generator.z_dim)
    wanted = factors_of(z) @ directions
    error = (mapping(z)[:, 0] - wanted).square().mean() / wanted.square().mean()
    return float(error.sqrt())


@torch.no_grad()
def set_w_average(generator: Generator) -> None:
    """Estimate the mean latent, which truncation goes towards."""
    z = torch.randn(W_AVG_SAMPLES, generator.z_dim)
    generator.mapping.w_avg.copy_(generator.mapping(z)[:, 0].mean(dim=0))


@torch.no_grad()
def path_lengths(generator: Generator, directions: Tensor) -> Tensor:
    """How much each factor changes the picture: `F` float32.

    Root mean square, over pixels and random pictures, of the derivative along the factor.

    Args:
        directions: `F x w_dim`, those that the generator reads.
    """
    count = len(directions)
    squares = torch.zeros(count)
    for _ in range(_PATH_SAMPLES):
        centre = torch.rand(count) * 2.0 - 1.0
        for offsets in (_PATH_STEP * torch.eye(count)).split(8):
            ends = torch.cat([centre + offsets, centre - offsets])
            ws = (ends @ directions)[:, None].expand(-1, generator.num_ws, -1)
            after, before = generator.synthesis(ws, "none").chunk(2)
            change = (after - before) / (2.0 * _PATH_STEP)
            squares += offsets.sign().t() @ change.square().mean(dim=(1, 2, 3))
    return (squares / _PATH_SAMPLES).sqrt()


@torch.no_grad()
def stretch_w(generator: Generator, old: Tensor, new: Tensor) -> None:
    """Make the synthesis read latents along `new` as it read those along `old`, in place.

    Args:
        old, new: `F x w_dim` float32 with orthogonal rows, parallel to each other.
    """
    # What takes a latent of the model back to one of the training.
    unit = new / new.norm(dim=1, keepdim=True)
    ratio = old.norm(dim=1) / new.norm(dim=1)
    back = unit.t() @ (ratio[:, None] * unit) + complement_projection(new) / UNUSED_LENGTH
    for name, parameter in generator.synthesis.named_parameters():
        if name.endswith("affine.weight"):
            parameter.copy_(parameter @ back)


@torch.no_grad()
def variance_shares(generator: Generator) -> Tensor:
    """Share of each principal component in the variance of W: `w_dim` float32, descending."""
    w = generator.mapping(torch.randn(W_AVG_SAMPLES, generator.z_dim))[:, 0]
    variances: Tensor = torch.linalg.eigvalsh(torch.cov(w.t())).flip(0)
    return variances / variances.sum()


@torch.no_grad()
def contact_sheet(generator: Generator, columns: int = 5, scale: int = 1) -> Image.Image:
    """Seeds 0 to 2 `columns` - 1 with truncation psi 1 (upper half) and 0.7 (lower half)."""
    # The seeds' own way to z, as in the public code bases.
    latents = [np.random.RandomState(s).randn(1, generator.z_dim) for s in range(2 * columns)]
    z = torch.from_numpy(np.concatenate(latents)).float()
    rows = []
    for psi in (1.0, 0.7):
        images = generator.synthesis(generator.mapping(z, truncation_psi=psi), "none")
        rows += [torch.cat(list(row), dim=2) for row in images.split(columns)]
    sheet = torch.cat(rows, dim=1)
    pixels = (sheet * 127.5 + 128.0).clamp(0.0, 255.0).byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.BICUBIC)


def license_note() -> str:
    """What the file's metadata say about rights, with the day of training."""
    day = datetime.now(tz=UTC).date().isoformat()
    return (
        "GPL-3.0-or-later. Suzanne, Blender's monkey, learned from this project's own renders; "
        f"trained {day}."
    )


def main() -> None:
    """Command line: build the mapping, measure, write the model and its contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, required=True, help="folder that `train` wrote")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    generator = make_generator()
    generator.synthesis.load_state_dict(TrainingState.load(options.training).synthesis)
    trained = factor_directions()
    lengths = path_lengths(generator, trained)
    lengths *= YAW_LENGTH / lengths[factors.FACTORS.index("yaw")]
    directions = factor_directions(dict(zip(factors.FACTORS, lengths.tolist(), strict=True)))
    stretch_w(generator, trained, directions)
    log.info("lengths %s", dict(zip(factors.FACTORS, lengths.tolist(), strict=True)))
    error = build_mapping(generator, directions)
    set_w_average(generator)
    generator.freeze()
    save_generator(generator, options.out, license_note=license_note())
    contact_sheet(generator).save(options.out.with_suffix(".png"), optimize=True)
    shares = variance_shares(generator)
    log.info("mapping error %.4f of the size of w", error)
    log.info("first 5 components %.3f, first 10 %.3f", shares[:5].sum(), shares[:10].sum())
    log.info(
        "%d parameters, %d bytes",
        sum(parameter.numel() for parameter in generator.parameters()),
        options.out.stat().st_size,
    )


if __name__ == "__main__":
    main()
