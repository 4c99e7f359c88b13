# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds the mapping network and writes the model: ``python -m tools.suzanne.distill``.

The synthesis network was trained on latents made from factors. The mapping network makes them from
z, so that every latent can be reached from a seed, as in any StyleGAN2: the first layer is that of
``uniform``, the second applies the linear map from factors to w, and the third undoes the
activations. The network is not trained but constructed. (Trained by gradient descent from random
weights, the same network still had an error of a third of w after thousands of steps.)

W has no natural metric: stretching it along a factor, and shrinking the weights that read it,
changes no picture. It changes what a drag does, though, because a drag follows the gradient in W: a
factor changes in inverse proportion to the square of its direction's length. So all lengths are set
here, in the way in which path length regularisation sets them in StyleGAN2's own training (Karras
et al. 2020, section 3.2): a step of a given length in W changes the picture by the same amount in
every direction. Factors that change little in the picture are then cheap for a drag: a handle on an
ear lifts the ear, and one on the nose turns the head.
"""

from __future__ import annotations

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylegan2 import Generator, save_generator
from stylegan2.network.layers import GAIN, SLOPE, FullyConnectedLayer
from tools.suzanne import factors
from tools.suzanne.latents import complement_projection, factor_directions
from tools.suzanne.state import TrainingState
from tools.suzanne.train import MAPPING_FEATURES, make_generator
from tools.suzanne.uniform import factors_of, knots_layer, reading, set_layer

# Length of the yaw's direction in the model's W. It sets the scale of all other lengths, so that
# drags with the paper's step size of 2e-3 take as many steps as in the paper, a few dozen.
YAW_LENGTH = 2.5
_PATH_STEP = 0.05
_PATH_SAMPLES = 64
# Length in the model's W of one unit of W in training, in the directions that no factor uses.
UNUSED_LENGTH = 1.0

W_AVG_SAMPLES = 100_000

_LOG = logging.getLogger(__name__)


@torch.no_grad()
def build_mapping(generator: Generator, directions: Tensor) -> float:
    """Set the mapping network to ``w = factors @ directions``, in place.

    Args:
        generator: Of ``train.make_generator``.
        directions: ``F x w_dim`` float32.

    Returns:
        The remaining error of w: its root mean square divided by that of w.
    """
    mapping, width = generator.mapping, MAPPING_FEATURES
    read, constants = reading(width)
    mix_weight, mix_bias = torch.zeros(width, width), torch.zeros(width)
    mix_weight[: generator.w_dim] = -(directions.double().t() @ read).float()
    mix_bias[: generator.w_dim] = -(constants @ directions.double()).float()
    # The second layer computes -w. Its activation scales the positive part of w by SLOPE, and the
    # last one scales the negative part; the factor between them undoes both and the two gains.
    last_weight = torch.zeros(generator.w_dim, width)
    last_weight.fill_diagonal_(-1.0 / (SLOPE * GAIN**2))
    last_bias = torch.zeros(generator.w_dim)
    parameters = (
        knots_layer(generator.z_dim, width),
        (mix_weight, mix_bias),
        (last_weight, last_bias),
    )
    for index, (weight, bias) in enumerate(parameters):
        layer = mapping.get_submodule(f"fc{index}")
        assert isinstance(layer, FullyConnectedLayer)  # by its name in stylegan2
        set_layer(layer, weight, bias)
    z = torch.randn(W_AVG_SAMPLES, generator.z_dim)
    wanted = factors_of(z) @ directions
    error = (mapping(z)[:, 0] - wanted).square().mean() / wanted.square().mean()
    return float(error.sqrt())


@torch.no_grad()
def set_w_average(generator: Generator) -> None:
    """Set the mean latent ``w_avg``, which truncation uses, from random z, in place."""
    z = torch.randn(W_AVG_SAMPLES, generator.z_dim)
    generator.mapping.w_avg.copy_(generator.mapping(z)[:, 0].mean(dim=0))


@torch.no_grad()
def path_lengths(generator: Generator, directions: Tensor) -> Tensor:
    """Return how much each factor changes the picture.

    Args:
        generator: The model.
        directions: ``F x w_dim`` float32, the directions of the factors in its W.

    Returns:
        ``F`` float32: the root mean square, over pixels and random pictures, of the derivative of
        the pixels (in [-1, 1]) with respect to the factor.
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
    """Change the synthesis network, in place, so that ``new`` directions act as ``old`` ones did.

    Args:
        generator: The model.
        old: ``F x w_dim`` float32 with orthogonal rows.
        new: The same, each row parallel to that of ``old``.
    """
    # Maps a latent of the changed model to one of the model before.
    unit = new / new.norm(dim=1, keepdim=True)
    ratio = old.norm(dim=1) / new.norm(dim=1)
    back = unit.t() @ (ratio[:, None] * unit) + complement_projection(new) / UNUSED_LENGTH
    for name, parameter in generator.synthesis.named_parameters():
        if name.endswith("affine.weight"):
            parameter.copy_(parameter @ back)


@torch.no_grad()
def variance_shares(generator: Generator) -> Tensor:
    """Return the share of each principal component in the variance of W.

    Returns:
        ``w_dim`` float32, descending; their sum is 1.
    """
    w = generator.mapping(torch.randn(W_AVG_SAMPLES, generator.z_dim))[:, 0]
    variances: Tensor = torch.linalg.eigvalsh(torch.cov(w.t())).flip(0)
    return variances / variances.sum()


@torch.no_grad()
def contact_sheet(generator: Generator, columns: int = 5, scale: int = 1) -> Image.Image:
    """Return a picture of the first seeds: psi 1 in the upper half, psi 0.7 in the lower half.

    Args:
        generator: The model.
        columns: Number of images in a row; there are ``2 * columns`` seeds, from 0.
        scale: Enlargement of the picture.
    """
    # z of a seed as in the public programs.
    latents = [np.random.RandomState(s).randn(1, generator.z_dim) for s in range(2 * columns)]
    z = torch.from_numpy(np.concatenate(latents)).float()
    rows = []
    for psi in (1.0, 0.7):
        images = generator.synthesis(generator.mapping(z, truncation_psi=psi))
        rows += [torch.cat(list(row), dim=2) for row in images.split(columns)]
    sheet = torch.cat(rows, dim=1)
    pixels = (sheet * 127.5 + 128.0).clamp(0.0, 255.0).byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.BICUBIC)


def license_note() -> str:
    """Return the note about licence and origin for the file's metadata, with today's date."""
    day = datetime.now(tz=UTC).date().isoformat()
    return (
        "GPL-3.0-or-later. Suzanne, Blender's monkey, learned from this project's own renders; "
        f"trained {day}."
    )


def main() -> None:
    """Build the mapping network, write the model and its contact sheet, and log figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, required=True, help="folder that train wrote")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
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
    _LOG.info("lengths %s", dict(zip(factors.FACTORS, lengths.tolist(), strict=True)))
    error = build_mapping(generator, directions)
    set_w_average(generator)
    generator.freeze()
    save_generator(generator, options.out, license_note=license_note())
    contact_sheet(generator).save(options.out.with_suffix(".png"), optimize=True)
    shares = variance_shares(generator)
    _LOG.info("mapping error, divided by the size of w: %.4f", error)
    _LOG.info(
        "variance in the first 5 components: %.3f, in the first 10: %.3f",
        shares[:5].sum(),
        shares[:10].sum(),
    )
    _LOG.info(
        "%d parameters, %d bytes",
        sum(parameter.numel() for parameter in generator.parameters()),
        options.out.stat().st_size,
    )


if __name__ == "__main__":
    main()
