# SPDX-License-Identifier: GPL-3.0-or-later
"""``blend``: how near *Blend Back* comes to a render of what the edit is meant to show.

Two renders of 512 px differ in one or two factors of pose or shape. The edit is the same change of
the built-in model's latent. It is blended onto the first render, and the result is compared with
the second, where the matte is not black: beside the model's image of 128 px, and beside the same
composition without moving the picture's own content. ::

    python -m tools.bench blend [--out OUT.jpg]

The sharpness is the sum of the squared differences of neighbouring pixels, relative to that of the
second render. The command needs Blender as a module (``bpy``), unless the renders exist already.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.arrays import ByteArray, FloatArray
from engine.inversion.alignment import Alignment
from engine.inversion.edits import blended
from engine.inversion.registration import Follower
from engine.output.render import render_image
from engine.pictures import Picture
from stylegan2 import Generator, load_generator
from stylegan2.models import builtin_model_path
from tools.suzanne.factors import FACTORS, sample_factors
from tools.suzanne.truth import truth_of

_SET, _SIZE_PX, _SAMPLES = 79, 512, 32
# How much a factor changes, towards the middle of its range and beyond, in [-1, 1].
EDITS: tuple[Mapping[str, float], ...] = (
    {"yaw": 0.35},
    {"pitch": 0.5},
    {"roll": 0.5},
    {"ear_lift": 0.8},
    {"muzzle_length": 0.9},
    {"jaw": 0.9},
    {"cranium": 0.7},
    {"eye_size": 0.8},
    {"yaw": 0.8, "jaw": 0.8},
)
ROWS = ("the model's image", "not moved", "Blend Back")


@dataclass(frozen=True)
class Case:
    """Two renders, ``512 x 512 x 3`` uint8, and their latents, ``num_ws x w_dim`` float32."""

    name: str
    before: ByteArray
    after: ByteArray
    latents: tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Figures:
    """How one result compares with the second render, where the matte is not black.

    Attributes:
        error: Mean absolute difference, a share of the range.
        slope_error: The same of the differences of neighbouring pixels.
        sharpness: Relative to the render, 1 for as sharp.
    """

    error: float
    slope_error: float
    sharpness: float


def factors_of(number: int) -> tuple[FloatArray, FloatArray]:
    """Return the factors of the renders before and after an edit of ``EDITS``."""
    before = 0.8 * sample_factors(_SET, number)
    after = before.copy()
    for name, change in EDITS[number].items():
        place = FACTORS.index(name)
        after[place] = np.clip(before[place] - np.sign(before[place]) * change, -1, 1)
    return before.astype(np.float32), after.astype(np.float32)


def cases(folder: Path, generator: Generator) -> Iterator[Case]:
    """Render what is missing in a folder, and return the cases."""
    truth = truth_of(generator)
    assert truth is not None
    paths = [[folder / f"{i}{end}.png" for end in "ab"] for i in range(len(EDITS))]
    if not all(path.exists() for pair in paths for path in pair):
        from tools.suzanne.scene import SuzanneScene

        folder.mkdir(parents=True, exist_ok=True)
        scene = SuzanneScene(size_px=_SIZE_PX, samples=_SAMPLES)
        for i, pair in enumerate(paths):
            for path, factors in zip(pair, factors_of(i), strict=True):
                scene.apply(factors.astype(np.float64))
                scene.render(path)
    for i, pair in enumerate(paths):
        images = [np.asarray(Image.open(path).convert("RGB")) for path in pair]
        latents = [
            truth.latents(torch.from_numpy(factors)[None])[0].contiguous().numpy()
            for factors in factors_of(i)
        ]
        yield Case(" and ".join(EDITS[i]), images[0], images[1], (latents[0], latents[1]))


def results(generator: Generator, case: Case) -> tuple[dict[str, ByteArray], ByteArray]:
    """Return the image of each of ``ROWS``, and the matte of *Blend Back*."""
    frame = Alignment.whole(_SIZE_PX, _SIZE_PX)
    first, last = case.latents

    def still(_: Follower, image: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(image[:, :2]), torch.ones_like(image[:, :1])

    (moved,) = blended(generator, case.before, frame, first, [Picture(last)])
    with mock.patch.object(Follower, "believed", still):
        (unmoved,) = blended(generator, case.before, frame, first, [Picture(last)])
    small = Image.fromarray(render_image(generator, last))
    large = np.asarray(small.resize((_SIZE_PX, _SIZE_PX), Image.Resampling.BICUBIC))
    images = (large, unmoved.image, moved.image)
    return dict(zip(ROWS, images, strict=True)), moved.matte


def compare(image: ByteArray, truth: ByteArray, matte: ByteArray) -> Figures:
    """Compare a result, ``H x W x 3`` uint8, with the render of what it is meant to show."""
    there = matte[:-1, :-1] > 0
    slopes = []
    for one in (image, truth):
        values = one.astype(np.float64) / 255
        right, down = values[:-1, 1:] - values[:-1, :-1], values[1:, :-1] - values[:-1, :-1]
        slopes.append(np.concatenate([right, down], axis=2)[there])
    far = np.abs(image.astype(np.float64) - truth)[matte > 0] / 255
    sharpness = float((slopes[0] ** 2).sum() / (slopes[1] ** 2).sum())
    return Figures(float(far.mean()), float(np.abs(slopes[0] - slopes[1]).mean()), sharpness)


def main(argv: list[str]) -> int:
    """Run ``python -m tools.bench blend``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="blend", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("dist/blend"), help="the renders")
    parser.add_argument("--out", type=Path, help="a picture: before, after, results and mattes")
    options = parser.parse_args(argv)
    path = builtin_model_path("suzanne")
    assert path is not None
    generator = load_generator(path)
    found: dict[str, list[Figures]] = {name: [] for name in ROWS}
    sheet = []
    heads = " | ".join(f"{name}, error | sharpness" for name in ROWS)
    print(f"| edit | {heads} |\n|---|{'---:|' * 2 * len(ROWS)}", flush=True)
    for case in cases(options.data, generator):
        images, matte = results(generator, case)
        cells = [case.name.replace("_", " ")]
        for name, image in images.items():
            figures = compare(image, case.after, matte)
            found[name].append(figures)
            cells += [f"{figures.error:.2%}", f"{figures.sharpness:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
        grey = np.repeat(matte[..., None], 3, axis=2)
        sheet.append(np.hstack([case.before, case.after, *images.values(), grey]))
    cells = ["mean"]
    for rows in found.values():
        errors, sharpness = ([getattr(one, key) for one in rows] for key in ("error", "sharpness"))
        cells += [f"{np.mean(errors):.2%}", f"{np.mean(sharpness):.2f}"]
    print(f"| {' | '.join(cells)} |")
    slopes = (f"{name} {np.mean([one.slope_error for one in found[name]]):.2%}" for name in ROWS)
    print(f"\nerror of the differences of neighbouring pixels: {', '.join(slopes)}")
    if options.out:
        page = Image.fromarray(np.vstack(sheet))
        page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS).save(
            options.out, quality=88
        )
    return 0
