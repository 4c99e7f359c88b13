# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of what the directions of a model do, and which known factors they follow.

Writes a strip of each direction from -3 to 3 standard deviations of one image, one below the other,
and prints a table of correlations with the factors of a model that was made of factors. ::

    python -m tools.direction_strips OUT.jpg [--seed N] [--names "Direction 1,Coarse 2"]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from draggan_blender.protocol.directions import Direction, on_layers
from engine.models import ModelCache, sample_latent
from engine.output.render import render_frames
from engine.solving.directions import find_directions
from engine.solving.principal import principal_components
from stylegan2 import Generator
from tools.suzanne.factors import FACTORS
from tools.suzanne.truth import truth_of

_STRENGTHS = range(-3, 4)
_SAMPLES = 4000
_LABEL_PX = 22


def correlations(generator: Generator, directions: Sequence[Direction]) -> list[str]:
    """Return for each direction a row of a table: the factors of W that go with it.

    Raises:
        ValueError: The model was not made of factors.
    """
    truth, components = truth_of(generator), principal_components(generator)
    if truth is None:
        raise ValueError("the model was not made of factors, so nothing is known to compare with")
    z = torch.randn(_SAMPLES, generator.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        w = generator.mapping(z)[:, 0]
    factors = truth.factors(w).numpy()
    # Along a direction, lengths are standard deviations of W.
    lengths = components.sigmas.square()
    rows = []
    for direction in directions:
        unit = components.directions @ torch.from_numpy(direction.change[0])
        along = ((w - components.mean) @ components.directions.T / lengths @ unit).numpy()
        found = np.array([np.corrcoef(along, values)[0, 1] for values in factors.T])
        best = np.abs(found).argsort()[::-1][:3]
        named = ", ".join(f"{FACTORS[i]} {found[i]:+.2f}" for i in best if abs(found[i]) >= 0.1)
        rows.append(f"| {direction.name} | {direction.first} to {direction.last} | {named} |")
    return rows


def strips(generator: Generator, directions: Sequence[Direction], seed: int) -> Image.Image:
    """Return the strips of directions, one below the other, each with its name."""
    start = sample_latent(generator, seed, 0.7)
    _, height, width = generator.img_shape
    sheet = Image.new(
        "RGB", (width * len(_STRENGTHS), (height + _LABEL_PX) * len(directions)), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for row, direction in enumerate(directions):
        change = on_layers(direction.change, len(start), direction.first, direction.last)
        latents = np.stack([start + strength * change for strength in _STRENGTHS])
        top = row * (height + _LABEL_PX)
        draw.text((4, top + 4), direction.name, fill="black", font_size=14)
        for column, frame in enumerate(render_frames(generator, latents)):
            sheet.paste(Image.fromarray(frame), (column * width, top + _LABEL_PX))
    return sheet


def main() -> int:
    """Write the picture and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="suzanne")
    parser.add_argument("--seed", type=int, default=150)
    parser.add_argument("--names", default="", help="directions of the picture; all if empty")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = ModelCache(torch.device("cpu")).get(options.model).generator
    found = find_directions(generator)
    print("\n".join(correlations(generator, found)))
    wanted = options.names.split(",") if options.names else [one.name for one in found]
    shown = [one for one in found if one.name in wanted]
    strips(generator, shown, options.seed).save(options.out, quality=85)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
