# SPDX-License-Identifier: GPL-3.0-or-later
"""``lost``: how often a drag says that it has lost a handle, beside the truth of the detector.

Ordinary drags take one or three landmarks of an image to their places in another. Long ones take a
landmark 40 px (of 128) in some direction, an ear 40 px up, and an ear to the far corner. The
distance of the detector's landmark in the result from the place that the drag has tracked is the
truth. ::

    python dev.py bench lost [--list choosing|test] [--pairs N]
"""

from __future__ import annotations

import argparse
import cmath
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from engine.arrays import FloatArray
from engine.models import ModelCache
from engine.output.render import render_frames
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from stylegan2 import Generator

from .landmarks import LANDMARKS, Detector
from .pairs import FIRST_SEEDS, REFERENCE_SIZE_PX, Pair, find_pairs, task_of

KINDS = ("ordinary", "long")
# px of 128.
_LONG_PX = 40.0
_CORNER_PX = 8.0
_NEAR_PX, _FAR_PX = 3.0, 6.0


@dataclass(frozen=True)
class Told:
    """One drag: its kind, whether it said that it lost a handle, and the largest error, px of 128.

    Attributes:
        kind: One of ``KINDS``.
        is_told: Whether the drag said that a handle was lost.
        off_px: The largest distance of a landmark from the place that was tracked.
    """

    kind: str
    is_told: bool
    off_px: float


def long_drags(pair: Pair) -> Iterator[tuple[int, FloatArray]]:
    """Yield the landmark and the target (x, y), image pixels, of the long drags of a pair."""
    unit = pair.images.shape[2] / REFERENCE_SIZE_PX
    width, height = pair.images.shape[2], pair.images.shape[1]
    points = pair.points_px[0]
    landmark = pair.index % len(LANDMARKS)
    # The golden angle: the directions are even over any number of pairs.
    way = cmath.rect(_LONG_PX * unit, pair.index * math.pi * (3.0 - math.sqrt(5.0)))
    ear = LANDMARKS.index("ear_left" if pair.index % 2 else "ear_right")
    border = 2.0 * unit
    is_left = points[ear, 0] < width / 2
    corner_x = width - _CORNER_PX * unit if is_left else _CORNER_PX * unit
    goals = (
        (landmark, points[landmark] + [way.real, way.imag]),
        (ear, points[ear] - [0.0, _LONG_PX * unit]),
        (ear, np.array([corner_x, height - _CORNER_PX * unit])),
    )
    for index, goal in goals:
        inside = np.clip(goal, border, [width - border, height - border])
        yield index, inside.astype(np.float32)


def measure(generator: Generator, detector: Detector, pair: Pair) -> Iterator[Told]:
    """Drag the first image of a pair in all ways, and yield what was told and what is true."""
    for setting in ("1", "3"):
        task = task_of(pair, setting)
        yield _drag(generator, detector, pair, KINDS[0], task.landmarks, task.targets_px)
    for landmark, target in long_drags(pair):
        yield _drag(generator, detector, pair, KINDS[1], (landmark,), target[None])


def _drag(
    generator: Generator,
    detector: Detector,
    pair: Pair,
    kind: str,
    landmarks: tuple[int, ...],
    targets_px: FloatArray,
) -> Told:
    chosen = list(landmarks)
    start = pair.points_px[0][chosen].astype(np.float32)
    result = drag(generator, pair.latents[0], start, targets_px, DragOptions(), judged=True)
    image = np.stack(list(render_frames(generator, result.latents[-1][None])))
    found = detector.detect(image).points_px[0][chosen]
    apart = np.linalg.norm(found - result.handles_px[-1], axis=1)
    unit = pair.images.shape[2] / REFERENCE_SIZE_PX
    return Told(kind, any(result.lost), float(apart.max()) / unit)


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench lost``; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench lost", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="the seeds")
    parser.add_argument("--pairs", type=int, default=25, help="number of pairs of images")
    options = parser.parse_args(argv)
    generator = ModelCache(torch.device("cpu")).get("suzanne").generator
    detector = Detector.load()
    rows: list[Told] = []
    for pair in find_pairs(generator, detector, options.list, options.pairs):
        rows += measure(generator, detector, pair)
    print("| | drags | told | told, of those within 3 px | told, of those more than 6 px off |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        of = [row for row in rows if row.kind == kind]
        near = [row for row in of if row.off_px < _NEAR_PX]
        far = [row for row in of if row.off_px > _FAR_PX]
        print(
            f"| {kind} | {len(of)} | {sum(row.is_told for row in of)} "
            f"| {sum(row.is_told for row in near)} of {len(near)} "
            f"| {sum(row.is_told for row in far)} of {len(far)} |"
        )
    return 0
