# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the losses of own pictures: ``python -m tools.bench losses --out docs/losses.jpg``.

Three renders that the built-in model was not trained on and three drawings are inverted with each
loss. Of all, the error is measured; and how far the eyes and the nose of the model's version are
from where they are in the picture, as the landmark detector finds them in the version. The sheet
shows the pictures and the versions, because an error in values says little about drawings.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from draggan_blender.protocol.losses import IMAGENET, LOSS_NAMES, PIXELS
from engine.arrays import ByteArray, FloatArray
from engine.inversion.alignment import Alignment
from engine.inversion.loss_choice import LossChoice, make_loss
from engine.inversion.solve import InversionOptions, invert
from engine.output.render import render_image
from stylegan2 import load_generator
from stylegan2.models import builtin_model_path

from .invert import INVERTED_SET, load_renders
from .landmarks import LANDMARKS, Detector

_SIZE_PX, _COUNT = 128, 3
_WHOLE = Alignment.whole(_SIZE_PX, _SIZE_PX)
_SEEN = [LANDMARKS.index(name) for name in ("eye_left", "eye_right", "nose")]
_BROWN, _SKIN, _INK = (120, 72, 40), (226, 176, 132), (25, 20, 20)


@dataclass(frozen=True)
class Subject:
    """A picture.

    Attributes:
        name: For people.
        pixels: ``128 x 128 x 3`` uint8.
        places_px: ``3 x 2``: where its eyes and its nose are, (x, y); NaN for what it lacks.
    """

    name: str
    pixels: ByteArray
    places_px: FloatArray


def subjects(folder: Path) -> list[Subject]:
    """Return renders, which are made if they are missing from the folder, and drawings."""
    renders = load_renders(folder, INVERTED_SET, _COUNT)
    found = [
        Subject(f"render {number + 1}", pixels, renders.places_px[number][_SEEN])
        for number, pixels in enumerate(renders.images)
    ]
    return [*found, _smiley(), _monkey("flat monkey", _BROWN, _SKIN, (96, 130, 160)), _ink()]


def _canvas(colour: tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (_SIZE_PX, _SIZE_PX), colour)
    return image, ImageDraw.Draw(image)


def _drawn(name: str, image: Image.Image, places: list[tuple[float, float]]) -> Subject:
    return Subject(name, np.asarray(image), np.array(places, dtype=np.float32))


def _smiley() -> Subject:
    image, pen = _canvas((235, 230, 210))
    pen.ellipse([20, 20, 108, 112], fill=(250, 205, 60), outline="black", width=3)
    for x in (45, 75):
        pen.ellipse([x, 48, x + 10, 62], fill="black")
    pen.arc([42, 60, 86, 96], 20, 160, fill="black", width=4)
    return _drawn("smiley", image, [(80, 55), (50, 55), (np.nan, np.nan)])


def _monkey(
    name: str,
    fur: tuple[int, int, int],
    skin: tuple[int, int, int],
    ground: tuple[int, int, int],
    line: int = 0,
) -> Subject:
    """Return a monkey's face of flat colours, as wide as the model's.

    Args:
        name: For people.
        fur: Colour of head and ears.
        skin: Of the face.
        ground: Behind.
        line: Width of the outlines in pixels.
    """
    image, pen = _canvas(ground)

    def round_(box: tuple[float, ...], fill: tuple[int, int, int]) -> None:
        pen.ellipse(list(box), fill=fill, outline=_INK if line else None, width=max(1, line))

    for side in (-1, 1):
        for radius, fill in ((15, fur), (9, skin)):
            x = 64 + side * 44
            round_((x - radius, 50 - radius, x + radius, 50 + radius), fill)
    round_((26, 18, 102, 98), fur)
    for side in (-1, 1):
        x = 64 + side * 15
        round_((x - 17, 35, x + 17, 69), skin)
    round_((38, 62, 90, 106), skin)
    for side in (-1, 1):
        x = 64 + side * 15
        round_((x - 8, 44, x + 8, 60), (245, 245, 245))
        pen.ellipse([x - 4, 48, x + 4, 56], fill=_INK)
    pen.ellipse([58, 66, 70, 74], fill=_INK)
    pen.arc([46, 66, 82, 96], 25, 155, fill=_INK, width=3)
    return _drawn(name, image, [(79, 52), (49, 52), (64, 70)])


def _ink() -> Subject:
    white = (255, 255, 255)
    return _monkey("ink monkey", white, white, white, line=2)


def main(arguments: list[str]) -> int:
    """Print the table, and write the sheet if asked."""
    parser = argparse.ArgumentParser(prog="losses", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("dist/invert"), help="the renders")
    parser.add_argument("--losses", nargs="+", choices=LOSS_NAMES, default=[PIXELS, IMAGENET])
    parser.add_argument("--loss-file", type=Path, help="the weights of vgg or discriminator")
    parser.add_argument("--out", type=Path, help="a sheet: the pictures, and a row for each loss")
    options = parser.parse_args(arguments)
    path = builtin_model_path("suzanne")
    assert path is not None
    generator, detector = load_generator(path), Detector.load()
    pictures = subjects(options.data)
    sheet = [np.concatenate([subject.pixels for subject in pictures], axis=1)]
    print("| picture | loss | error | eyes and nose | CPU |\n|---|---|---:|---:|---:|", flush=True)
    for name in options.losses:
        loss = make_loss(LossChoice(name, options.loss_file), path, torch.device("cpu"))
        row = []
        for subject in pictures:
            since = time.process_time()
            found = invert(
                generator, subject.pixels, _WHOLE, InversionOptions(align=False), loss=loss
            )
            spent = time.process_time() - since
            row.append(render_image(generator, found.latent))
            places = detector.detect(row[-1][None]).points_px[0][_SEEN]
            far = float(np.nanmean(np.linalg.norm(places - subject.places_px, axis=1)))
            print(
                f"| {subject.name} | {name} | {found.error:.2%} | {far:.1f} px | {spent:.0f} s |",
                flush=True,
            )
        sheet.append(np.concatenate(row, axis=1))
    if options.out:
        page = Image.fromarray(np.concatenate(sheet))
        page.save(options.out, quality=90)
        print(f"{options.out}", file=sys.stderr)
    return 0
