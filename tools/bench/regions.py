# SPDX-License-Identifier: GPL-3.0-or-later
"""``regions``: how well a region turns by the angle asked for, beside three plain handles.

The built-in model's W is linear in the factors of its renders, so for each image of a list there is
the image of the same monkey with its head rolled by half the angle to one side, and by half to the
other. The first is where a drag starts, and the second is the truth: the detector's landmarks in
both tell the angle that was possible, and where a point should go. A region between the eyes
(``head``) or on an eye (``eye``) is asked for the angle. Three plain handles are asked for the
same: the middle of the disc, and two points of its rim with turned targets.

The angle that was reached is that of all landmarks, from start to result, by least squares: nothing
of the drag's own tracking is believed. ::

    python dev.py bench regions [--list choosing|test] [--pairs N]
"""

from __future__ import annotations

import argparse
import cmath
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from engine.arrays import FloatArray
from engine.models import ModelCache
from engine.output.render import render_frames
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from engine.solving.regions import turn_of
from engine.solving.result import DragStatus
from stylegan2 import Generator
from tools.suzanne.factors import FACTORS, ROLL_MAX_RAD
from tools.suzanne.truth import FactorMap

from .landmarks import Detector
from .pairs import FIRST_SEEDS, REFERENCE_SIZE_PX, Pair, find_pairs

ANGLES = (10, 20, 30)
KINDS = ("region", "three")
# The radius of the disc, px of 128.
RADII_PX = {"head": 28.0, "eye": 10.0}
_ROLL = FACTORS.index("roll")


@dataclass(frozen=True)
class Turned:
    """The figures of one drag.

    Attributes:
        what: A key of ``RADII_PX``.
        degrees: The angle that was asked for.
        kind: One of ``KINDS``.
        error: The difference of the angle that was reached from it, degrees.
        off_px: How far the middle of the disc is from where it should be, px of 128.
        steps: The number of steps.
        reached: Whether the drag itself says so.
    """

    what: str
    degrees: int
    kind: str
    error: float
    off_px: float
    steps: int
    reached: bool


def similarity(first_px: FloatArray, second_px: FloatArray) -> tuple[complex, complex]:
    """Return ``z`` and ``t`` of the similarity ``p -> z p + t`` between points, by least squares.

    Args:
        first_px: ``L x 2`` (x, y).
        second_px: The same points after it.
    """
    first = first_px[:, 0] + 1j * first_px[:, 1]
    second = second_px[:, 0] + 1j * second_px[:, 1]
    begin, end = first.mean(), second.mean()
    ratio = np.vdot(first - begin, second - end) / np.vdot(first - begin, first - begin)
    return complex(ratio), complex(end - ratio * begin)


def degrees_of(ratio: complex) -> float:
    """Return the angle of ``z``, degrees, counter-clockwise as a person sees the image."""
    return -math.degrees(cmath.phase(ratio))


def measure(generator: Generator, detector: Detector, pair: Pair) -> Iterator[Turned]:
    """Drag the first image of a pair in all ways, and yield the figures."""
    factors = FactorMap(generator)
    unit = pair.images.shape[2] / REFERENCE_SIZE_PX
    side = 1 if pair.index % 2 else -1
    values = factors.factors(torch.from_numpy(pair.latents[0]))[0]
    for degrees in ANGLES:
        roll = side * math.radians(degrees) / 2 / ROLL_MAX_RAD
        rolled = values.repeat(2, 1)
        rolled[:, _ROLL] = torch.tensor([-roll, roll])
        latents = factors.latents(rolled).numpy()
        before, truth = detector.detect(np.stack(list(render_frames(generator, latents)))).points_px
        ratio, shift = similarity(before, truth)
        asked = math.copysign(degrees, degrees_of(ratio))
        places = {"head": before[:2].mean(axis=0), "eye": before[0]}
        for what, radius in RADII_PX.items():
            middle = complex(*places[what])
            goal = ratio * middle + shift if what == "head" else complex(*truth[0])
            for kind in KINDS:
                result = turned_drag(
                    generator, latents[0], kind, middle, goal, radius * unit, asked
                )
                image = np.stack(list(render_frames(generator, result[0][None])))
                after = detector.detect(image).points_px[0]
                found, moved = similarity(before, after)
                place = found * middle + moved if what == "head" else complex(*after[0])
                yield Turned(
                    what,
                    degrees,
                    kind,
                    abs(degrees_of(found) - asked),
                    abs(place - goal) / unit,
                    result[1],
                    result[2],
                )


def turned_drag(
    generator: Generator,
    latent: FloatArray,
    kind: str,
    middle: complex,
    goal: complex,
    radius_px: float,
    degrees: float,
) -> tuple[FloatArray, int, bool]:
    """Drag a disc to another place, and turn it.

    Args:
        generator: The model.
        latent: ``num_ws x w_dim`` float32.
        kind: One of ``KINDS``: a region, or three plain handles.
        middle: The middle of the disc, x + iy, image pixels.
        goal: Where it is to go.
        radius_px: Its radius.
        degrees: The angle, counter-clockwise.

    Returns:
        The latent after the drag, its number of steps, and whether it says that it has arrived.
    """
    angle = math.radians(degrees)
    offsets = [0.0] if kind == "region" else [0.0, radius_px, -radius_px]
    turn = complex(*turn_of(np.array([angle]), np.array([1.0]))[0])
    ends = np.array([[middle + one, goal + turn * one] for one in offsets])
    points = np.stack([ends.real, ends.imag], axis=-1).astype(np.float32)
    _, height, width = generator.img_shape
    points = points[((points > 0) & (points < [width, height])).all(axis=(1, 2))]
    is_region = kind == "region"
    result = drag(
        generator,
        latent,
        points[:, 0],
        points[:, 1],
        DragOptions(),
        radii_px=np.array([radius_px], dtype=np.float32) if is_region else None,
        turns=np.array([[angle, 1.0]], dtype=np.float32) if is_region else None,
    )
    return result.latents[-1], result.steps, result.status is DragStatus.REACHED


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench regions``; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench regions", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="the seeds")
    parser.add_argument("--pairs", type=int, default=10, help="number of images")
    options = parser.parse_args(argv)
    generator = ModelCache(torch.device("cpu")).get("suzanne").generator
    detector = Detector.load()
    rows: list[Turned] = []
    for pair in find_pairs(generator, detector, options.list, options.pairs):
        rows += measure(generator, detector, pair)
    print("| | degrees | error, mean (largest) | off, px | steps | reached |")
    print("|---|---|---|---|---|---|")
    for what in RADII_PX:
        for kind in KINDS:
            for degrees in ANGLES:
                of = [r for r in rows if (r.what, r.kind, r.degrees) == (what, kind, degrees)]
                errors = [row.error for row in of]
                print(
                    f"| {what}, {kind} | {degrees} | {statistics.mean(errors):.1f} "
                    f"({max(errors):.1f}) | {statistics.mean(row.off_px for row in of):.1f} "
                    f"| {statistics.median(row.steps for row in of):g} "
                    f"| {sum(row.reached for row in of)} of {len(of)} |"
                )
    return 0
