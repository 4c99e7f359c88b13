# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the inversion of pictures: ``python -m tools.bench invert --out docs/own-picture.jpg``.

Renders of Suzanne that the built-in model was not trained on are inverted: with the right frame,
with a frame that is 8 px and 10 degrees off, and with the model tuned to them. Landmarks are those
of the scene; the landmark detector finds them in the model's version, so its own error is part of
the figure. Pictures that the model does not cover follow, which the verdict's limits come from.

The command needs Blender as a module (``bpy``), unless the renders exist already.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from engine.arrays import ByteArray, FloatArray
from engine.inversion.alignment import Alignment
from engine.inversion.solve import InversionOptions, invert
from engine.inversion.starts import starts_of
from engine.inversion.tuning import tune
from engine.inversion.verdict import coverage_of
from engine.output.render import render_image
from stylegan2 import Generator, load_generator
from stylegan2.models import builtin_model_path

from .landmarks import LANDMARKS, Detector

# The set of renders; the model was trained on the sets 1 and 2.
INVERTED_SET, SIZE_PX = 77, 128
_OFF_PX, _OFF_DEG = 8.0, 10.0
_ROWS = ("strange", "right", "off", "tuned")
_WHOLE = Alignment.whole(SIZE_PX, SIZE_PX)


@dataclass(frozen=True)
class Renders:
    """Pictures with known landmarks.

    Attributes:
        images: ``N x 128 x 128 x 3`` uint8.
        places_px: ``N x L x 2``, in the order of ``LANDMARKS``.
        visible: ``N x L`` bool.
        factors: ``N x F`` float32, see ``tools.suzanne.factors``.
    """

    images: ByteArray
    places_px: FloatArray
    visible: ByteArray
    factors: FloatArray


@dataclass(frozen=True)
class Row:
    """What was measured of one picture.

    Attributes:
        error: Mean absolute error, a share of the range of values.
        landmarks_px: Mean error of the visible landmarks, pixels.
        seconds: Elapsed.
        cpu_seconds: Of all threads.
        image: ``128 x 128 x 3`` uint8, the model's version.
    """

    error: float
    landmarks_px: float
    seconds: float
    cpu_seconds: float
    image: ByteArray


def load_renders(folder: Path, number: int, count: int) -> Renders:
    """Return the first renders of a set; those that are missing are made.

    Args:
        folder: Where they are.
        number: The set, see ``factors.sample_factors``.
        count: How many.
    """
    path = folder / f"suzanne_{SIZE_PX}px_seed{number}_000000.npz"
    if not _has(path, count):
        from tools.suzanne.render import render_shard
        from tools.suzanne.scene import SuzanneScene

        folder.mkdir(parents=True, exist_ok=True)
        render_shard(SuzanneScene(size_px=SIZE_PX, samples=8), number, 0, count, path)
    with np.load(path) as shard:
        names = list(shard["landmark_names"])
        order = [names.index(name) for name in LANDMARKS]
        return Renders(
            shard["images"][:count],
            shard["landmarks_px"][:count, order],
            shard["landmarks_visible"][:count, order],
            shard["factors"][:count],
        )


def _has(path: Path, count: int) -> bool:
    if not path.exists():
        return False
    with np.load(path) as shard:
        return len(shard["factors"]) >= count


class _Measure:
    """The model and the detector."""

    def __init__(self) -> None:
        path = builtin_model_path("suzanne")
        assert path is not None
        self.generator: Generator = load_generator(path)
        self._detector = Detector.load()

    def landmarks_px(self, image: ByteArray, frame: Alignment, renders: Renders, i: int) -> float:
        """Return the mean error of the visible landmarks in the picture."""
        found = torch.from_numpy(self._detector.detect(image[None]).points_px[0])
        placed = frame.to_picture(found, (SIZE_PX, SIZE_PX)).numpy()
        far = np.linalg.norm(placed - renders.places_px[i], axis=1)
        return float(far[renders.visible[i].astype(bool)].mean())

    def rows(self, renders: Renders, off: bool, tuned: bool) -> Iterator[Row]:
        """Invert each render, from a frame that is off or not."""
        source = np.random.RandomState(3)
        for i, pixels in enumerate(renders.images):
            frame = _moved_frame(source) if off else _WHOLE
            since, cpu = time.perf_counter(), time.process_time()
            found = invert(self.generator, pixels, frame, InversionOptions(align=off))
            image, error = render_image(self.generator, found.latent), found.error
            if tuned:
                after = tune(self.generator, pixels, found.alignment, found.latent)
                image, error = render_image(after.generator, found.latent), after.error
            spent = time.perf_counter() - since, time.process_time() - cpu
            landmarks = self.landmarks_px(image, found.alignment, renders, i)
            print(f"{i}: {error:.2%}, {landmarks:.2f} px, {spent[1]:.0f} s", file=sys.stderr)
            yield Row(error, landmarks, *spent, image)


def _moved_frame(source: np.random.RandomState) -> Alignment:
    way, side = source.uniform(0, 2 * math.pi), source.choice([-1, 1])
    middle = SIZE_PX / 2
    x, y = (middle + _OFF_PX * part for part in (math.cos(way), math.sin(way)))
    return Alignment(x, y, _OFF_DEG * float(side), float(SIZE_PX))


def summary(name: str, rows: list[Row]) -> str:
    """Return a line of the table in Markdown."""
    errors = [100 * row.error for row in rows]
    far = [row.landmarks_px for row in rows]
    cpu = [row.cpu_seconds for row in rows]
    wall = [row.seconds for row in rows]
    return (
        f"| {name} | {len(rows)} | {np.mean(errors):.2f} % | {max(errors):.2f} % | "
        f"{np.mean(far):.2f} px | {max(far):.2f} px | {np.mean(cpu):.0f} s | "
        f"{np.mean(wall):.0f} s |"
    )


_HEAD = (
    "| frame | pictures | mean error | largest | landmarks | largest | CPU | elapsed |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|"
)


def strange_pictures(renders: Renders) -> dict[str, ByteArray]:
    """Return pictures that the model knows less and less."""
    own = renders.images[0]
    glasses = Image.fromarray(own)
    pen = ImageDraw.Draw(glasses)
    for x in (40, 72):
        pen.ellipse([x, 42, x + 22, 60], fill=(15, 15, 20))
    pen.line([40, 50, 94, 50], fill=(15, 15, 20), width=3)
    face = Image.new("RGB", (SIZE_PX, SIZE_PX), (235, 230, 210))
    pen = ImageDraw.Draw(face)
    pen.ellipse([20, 20, 108, 112], fill=(250, 205, 60), outline="black", width=3)
    for x in (45, 75):
        pen.ellipse([x, 48, x + 10, 62], fill="black")
    pen.arc([42, 60, 86, 96], 20, 160, fill="black", width=4)
    noise = np.random.RandomState(0).randint(0, 256, (8, 8, 3), dtype=np.uint8)
    clouds = Image.fromarray(noise).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC)
    stripes = np.indices((SIZE_PX, SIZE_PX)).sum(axis=0) // 8 % 2 * 200 + 20
    return {
        "a render": own,
        "with drawn glasses": np.asarray(glasses),
        "upside down": np.ascontiguousarray(own[::-1]),
        "a drawn face": np.asarray(face),
        "clouds of colour": np.asarray(clouds),
        "stripes": np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8),
    }


def _beside(picture: ByteArray, image: ByteArray) -> ByteArray:
    """Return a picture, the model's version, and their difference around grey, in a row."""
    far = (image.astype(int) - picture + 128).clip(0, 255).astype(np.uint8)
    return np.concatenate([picture, image, far], axis=1)


def _strange(measure: _Measure, renders: Renders) -> list[ByteArray]:
    """Print how pictures are covered, and return a row of pictures for each."""
    sheet: list[ByteArray] = []
    print("| picture | error | verdict | tuned |\n|---|---:|---|---:|", flush=True)
    for name, pixels in strange_pictures(renders).items():
        found = invert(measure.generator, pixels, _WHOLE, InversionOptions(align=False))
        after = tune(measure.generator, pixels, _WHOLE, found.latent)
        verdict = coverage_of(found.error).value
        print(f"| {name} | {found.error:.1%} | {verdict} | {after.error:.1%} |", flush=True)
        images = [render_image(one, found.latent) for one in (measure.generator, after.generator)]
        sheet.append(np.concatenate([_beside(pixels, image) for image in images], axis=1))
    print()
    return sheet


def main(arguments: list[str]) -> int:
    """Print the tables, and write the picture of the documentation if asked."""
    parser = argparse.ArgumentParser(prog="invert", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("dist/invert"), help="the renders")
    parser.add_argument("--count", type=int, default=20, help="how many renders")
    parser.add_argument("--tuned", type=int, default=5, help="of how many the model is tuned")
    parser.add_argument(
        "--rows", nargs="+", choices=_ROWS, default=_ROWS, help="what is measured; default: all"
    )
    parser.add_argument("--out", type=Path, help="a picture of pictures, versions and differences")
    options = parser.parse_args(arguments)
    renders = load_renders(options.data, INVERTED_SET, options.count)
    measure = _Measure()
    since = time.process_time()
    starts_of(measure.generator)
    print(f"the model's images to start from: {time.process_time() - since:.0f} s of CPU, once\n")
    sheet = _strange(measure, renders) if "strange" in options.rows else []
    print(_HEAD, flush=True)
    few = Renders(*(part[: options.tuned] for part in vars(renders).values()))
    for row, name, used in (
        ("right", "right", renders),
        ("off", f"{_OFF_PX:.0f} px and {_OFF_DEG:.0f} degrees off", renders),
        ("tuned", "right, tuned", few),
    ):
        if row in options.rows:
            found = list(measure.rows(used, row == "off", row == "tuned"))
            print(summary(name, found), flush=True)
    if options.out and sheet:
        page = Image.fromarray(np.concatenate(sheet))
        page.resize((page.width * 3 // 2, page.height * 3 // 2), Image.Resampling.LANCZOS).save(
            options.out, quality=88
        )
    return 0
