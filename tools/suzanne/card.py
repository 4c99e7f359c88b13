# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a trained model and makes the pictures of its card.

``python -m tools.suzanne.card --data DIR --out DIR [--model FILE]`` writes pictures and prints a
table of figures, both for ``stylegan2/models/suzanne.md``. It needs only the model's file and
renders; ``truth`` finds the factors in the model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.models import model_path, sample_latent
from engine.solving.principal import PrincipalComponents, principal_components
from stylegan2 import Generator, load_generator
from tools.suzanne.dataset import Pictures, load_pictures
from tools.suzanne.sheet import save_sheet
from tools.suzanne.truth import FactorMap

_BATCH = 25
_COLUMNS = 9


def images_of(generator: Generator, w: Tensor) -> Tensor:
    """Return images ``N x 3 x S x S`` float32, nominally in [-1, 1], of w ``N x w_dim``.

    All layers get the same w.
    """
    parts = [part[:, None].expand(-1, generator.num_ws, -1) for part in w.split(_BATCH)]
    return torch.cat([generator.synthesis(part) for part in parts])


def reconstruction(generator: Generator, truth: FactorMap, held_out: Pictures) -> float:
    """Return the mean L1 between held-out renders and the model's images of their factors.

    Pixels are in [-1, 1].
    """
    renders = held_out.batch(torch.arange(len(held_out)), generator.img_shape[1]).images
    pictures = images_of(generator, truth.latents(held_out.factors)[:, 0])
    return float((pictures - renders).abs().mean())


def sharpness(images: Tensor) -> float:
    """Return the mean absolute difference of neighbouring pixels of images ``N x 3 x S x S``."""
    across, down = images.diff(dim=3).abs().mean(), images.diff(dim=2).abs().mean()
    return float(across + down) / 2.0


def path_lengths(generator: Generator, components: PrincipalComponents) -> Tensor:
    """Return how fast the image changes with w, for 16 random w in 8 random directions.

    This is perceptual path length (Karras et al. 2019, section 4.1) with root mean square instead
    of a perceptual distance: the change of the image divided by the length of a short step in W.

    Returns:
        ``16 x 8`` float32.
    """
    step = 0.05
    lengths = []
    w = generator.mapping(torch.randn(16, generator.z_dim))[:, 0]
    for _ in range(8):
        chosen = torch.randn(16, len(components.sigmas)) @ components.directions
        chosen = step * chosen / chosen.norm(dim=1, keepdim=True)
        change = images_of(generator, w + chosen) - images_of(generator, w - chosen)
        lengths.append(change.square().mean(dim=(1, 2, 3)).sqrt() / (2.0 * step))
    return torch.stack(lengths, dim=1)


def interpolations(generator: Generator, pairs: int, columns: int) -> Tensor:
    """Return images on straight lines in W between random latents.

    Args:
        generator: The model.
        pairs: Number of lines.
        columns: Number of images on each line, both ends included.

    Returns:
        ``pairs x columns x 3 x S x S`` float32.
    """
    ends = generator.mapping(torch.randn(2 * pairs, generator.z_dim))[:, 0]
    t = torch.linspace(0.0, 1.0, columns)[:, None]
    first, last = ends[0::2, None], ends[1::2, None]
    lines: Tensor = images_of(generator, (first + (last - first) * t).flatten(0, 1))
    return lines.reshape(pairs, columns, *lines.shape[1:])


def evenness(lines: Tensor) -> float:
    """Return the longest step of the image divided by the mean step, median over the lines.

    It is 1 if the image changes evenly along each line, and larger if it jumps.

    Args:
        lines: As ``interpolations`` returns them.
    """
    steps = lines.diff(dim=1).square().mean(dim=(2, 3, 4)).sqrt()
    return float((steps.max(dim=1).values / steps.mean(dim=1)).median())


def principal_walks(generator: Generator, components: PrincipalComponents, rows: int) -> Tensor:
    """Return images from -2 to 2 sigma along each of the first ``rows`` components.

    Returns:
        ``rows x 9 x 3 x S x S`` float32.
    """
    amounts = torch.linspace(-2.0, 2.0, _COLUMNS)[:, None]
    centre = generator.mapping.w_avg
    walks = [centre + amounts * line for line in components.scaled()[:rows]]
    images = images_of(generator, torch.cat(walks))
    return images.reshape(rows, _COLUMNS, *images.shape[1:])


@torch.no_grad()
def main() -> None:
    """Measure, print, and write the pictures, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the rendered shards")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--model", type=Path, default=model_path("suzanne"), help="the model file")
    parser.add_argument("--held-out", type=int, default=500, help="pictures held out in training")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    generator = load_generator(options.model, torch.device("cpu"))
    _, held_out = load_pictures(options.data, options.held_out)
    truth = FactorMap(generator)
    components = principal_components(generator)
    renders = held_out.batch(torch.arange(_COLUMNS), generator.img_shape[1])
    twins = images_of(generator, truth.latents(renders.factors)[:, 0])
    seeds = np.stack([sample_latent(generator, seed, 1.0)[0] for seed in range(_COLUMNS)])
    from_seeds = images_of(generator, torch.from_numpy(seeds))
    lines = interpolations(generator, 100, 17)
    save_sheet(torch.stack([renders.images, twins, from_seeds]), options.out / "seeds.jpg")
    save_sheet(lines[:5, ::2], options.out / "interpolations.jpg")
    save_sheet(principal_walks(generator, components, 10), options.out / "directions.jpg")
    lengths = path_lengths(generator, components)
    shares = (components.sigmas.square() / components.sigmas.square().sum()).cumsum(0)
    many = images_of(generator, generator.mapping(torch.randn(500, generator.z_dim))[:, 0])
    all_renders = held_out.batch(torch.arange(len(held_out)), generator.img_shape[1]).images
    figures = {
        "mean L1 of held-out renders, on [-1, 1]": reconstruction(generator, truth, held_out),
        "mean difference of neighbouring pixels: renders (with their render noise)": sharpness(
            all_renders
        ),
        "the same: 500 seeds": sharpness(many),
        "the same: midpoints of 100 straight lines in W": sharpness(lines[:, 8]),
        "deviation of w from a linear map of the factors, relative to the spread of w": (
            truth.residue
        ),
        "principal components that hold 0.999 of the variance": float(len(shares)),
        "variance in the first 5 principal components": float(shares[4]),
        "variance in the first 10 principal components": float(shares[9]),
        "path length (root mean square change of the picture, divided by the change of w)": float(
            lengths.mean()
        ),
        "its standard deviation divided by its mean, 16 latents in 8 directions": float(
            lengths.std() / lengths.mean()
        ),
        "longest step divided by mean step on a straight line in W, 16 steps, median of 100": (
            evenness(lines)
        ),
    }
    for name, value in figures.items():
        print(f"| {name} | {value:.4g} |")


if __name__ == "__main__":
    main()
