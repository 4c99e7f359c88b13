# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a trained model and makes the pictures of its card.

``python -m tools.suzanne.card --data DIR --out DIR [--model suzanne|twin|adversarial|FILE]`` writes
pictures and prints a table of figures, both for the model's card (``stylegan2/models/suzanne.md``
or ``tools/bench/models/NAME.md``). It needs only the model's file and renders; ``truth`` finds the
factors in a model that has them, and the figures that need factors are missing otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.models import sample_latent
from engine.solving.principal import PrincipalComponents, principal_components
from stylegan2 import Generator, load_generator
from tools.bench.landmarks import Detector
from tools.bench.models import BUILT_IN, MODELS, model_file
from tools.suzanne.dataset import Pictures, load_pictures
from tools.suzanne.factors import FACTORS
from tools.suzanne.feature_distance import feature_distance
from tools.suzanne.sheet import save_sheet
from tools.suzanne.truth import Truth, truth_of

_BATCH = 25
_COLUMNS = 9
# Number of random latents in figures that are means over W.
_MANY = 500


def images_of(generator: Generator, w: Tensor) -> Tensor:
    """Return images ``N x 3 x S x S`` float32, nominally in [-1, 1], of w ``N x w_dim``.

    All layers get the same w.
    """
    parts = [part[:, None].expand(-1, generator.num_ws, -1) for part in w.split(_BATCH)]
    return torch.cat([generator.synthesis(part) for part in parts])


def reconstruction(generator: Generator, truth: Truth, held_out: Pictures) -> float:
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


def share_that_is_not_linear(truth: Truth) -> float:
    """Return the deviation of w from the best linear map of the factors, as a share of its spread.

    It is 0 for a flat W.
    """
    values = torch.rand(_MANY, len(FACTORS)) * 2.0 - 1.0
    w = truth.latents(values)[:, 0]
    design = torch.cat([values, torch.ones(_MANY, 1)], dim=1)
    left = design @ torch.linalg.lstsq(design, w).solution - w
    return float((left.square().sum() / (w - w.mean(dim=0)).square().sum()).sqrt())


def expected_error_px(detector: Detector, images: Tensor) -> float:
    """Return the error that the landmark detector expects of itself, mean over landmarks.

    The less an image looks like a render, the larger it is.

    Args:
        detector: The detector.
        images: ``N x 3 x S x S`` float32, nominally in [-1, 1].

    Returns:
        Pixels of the detector's size.
    """
    pixels = (images * 127.5 + 128.0).clamp(0.0, 255.0).byte().permute(0, 2, 3, 1).numpy()
    return float(detector.detect(pixels).error_px.mean()) * detector.size_px / images.shape[-1]


def measure_w(generator: Generator, components: PrincipalComponents) -> dict[str, float]:
    """Return the figures of W and of the paths in it, by their names in the card."""
    lengths = path_lengths(generator, components)
    shares = (components.sigmas.square() / components.sigmas.square().sum()).cumsum(0)
    lines = interpolations(generator, 100, 17)
    return {
        "mean difference of neighbouring pixels at midpoints of 100 straight lines in W": (
            sharpness(lines[:, 8])
        ),
        "principal components that hold 0.999 of the variance": float(len(shares)),
        "variance in the first 5 principal components": float(shares[:5][-1]),
        "variance in the first 10 principal components": float(shares[:10][-1]),
        "path length (root mean square change of the picture, divided by the change of w)": float(
            lengths.mean()
        ),
        "its standard deviation divided by its mean, 16 latents in 8 directions": float(
            lengths.std() / lengths.mean()
        ),
        "longest step divided by mean step on a straight line in W, 16 steps, median of 100": (
            evenness(lines)
        ),
        "error that the detector expects at these midpoints, px of 128": expected_error_px(
            Detector.load(), lines[:, 8]
        ),
    }


def measure_pictures(generator: Generator, held_out: Pictures) -> dict[str, float]:
    """Return the figures of the images of random seeds beside held-out renders, by their names."""
    renders = held_out.batch(torch.arange(len(held_out)), generator.img_shape[1]).images
    many = images_of(generator, generator.mapping(torch.randn(_MANY, generator.z_dim))[:, 0])
    detector, half = Detector.load(), len(renders) // 2
    return {
        "mean difference of neighbouring pixels: renders (with their render noise)": sharpness(
            renders
        ),
        f"the same: {_MANY} seeds": sharpness(many),
        f"error that the detector expects for {_MANY} seeds, px of 128": expected_error_px(
            detector, many
        ),
        f"feature distance of {_MANY} seeds to {len(renders)} held-out renders": feature_distance(
            detector.network, many, renders
        ),
        "the same: one half of the renders to the other": feature_distance(
            detector.network, renders[:half], renders[half:]
        ),
    }


def measure_factors(generator: Generator, truth: Truth, held_out: Pictures) -> dict[str, float]:
    """Return the figures that need the map from factors to W, by their names."""
    return {
        "mean L1 of held-out renders, on [-1, 1]": reconstruction(generator, truth, held_out),
        "deviation of the mapping network from the map of the factors, as a share of the spread of "
        "w": truth.residue,
        "share of the spread of w that is not linear in the factors": share_that_is_not_linear(
            truth
        ),
    }


def write_pictures(
    generator: Generator, truth: Truth | None, held_out: Pictures, folder: Path
) -> None:
    """Write ``seeds.jpg``, ``interpolations.jpg`` and ``directions.jpg`` into a folder."""
    renders = held_out.batch(torch.arange(_COLUMNS), generator.img_shape[1])
    rows = [renders.images]
    if truth is not None:
        rows.append(images_of(generator, truth.latents(renders.factors)[:, 0]))
    seeds = np.stack([sample_latent(generator, seed, 1.0)[0] for seed in range(_COLUMNS)])
    rows.append(images_of(generator, torch.from_numpy(seeds)))
    components = principal_components(generator)
    save_sheet(torch.stack(rows), folder / "seeds.jpg")
    save_sheet(interpolations(generator, 5, _COLUMNS), folder / "interpolations.jpg")
    save_sheet(principal_walks(generator, components, 10), folder / "directions.jpg")


@torch.no_grad()
def main() -> None:
    """Measure, print, and write the pictures, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the rendered shards")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--model", default=BUILT_IN, help=f"{', '.join(MODELS)}, or a file")
    parser.add_argument("--held-out", type=int, default=500, help="pictures held out in training")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    generator = load_generator(model_file(options.model), torch.device("cpu"))
    _, held_out = load_pictures(options.data, options.held_out)
    truth = truth_of(generator)
    write_pictures(generator, truth, held_out, options.out)
    figures = measure_factors(generator, truth, held_out) if truth else {}
    figures |= measure_pictures(generator, held_out)
    figures |= measure_w(generator, principal_components(generator))
    for name, value in figures.items():
        print(f"| {name} | {value:.4g} |")


if __name__ == "__main__":
    main()
