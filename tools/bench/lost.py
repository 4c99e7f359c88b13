# SPDX-License-Identifier: GPL-3.0-or-later
"""``lost``: how often a drag says that it has lost a handle, beside the truth of the detector.

Ordinary drags take one or three landmarks of an image to their places in another. Long ones take a
landmark 40 px (of 128) in some direction, and an ear 40 px up; *corner* takes an ear to the far
corner; *background* takes a place of the plain background 20 px towards the middle. The distance of
the detector's landmark in the result from the place that the drag has tracked is the truth; on the
background there is none, and a handle counts as told if it is called flat. ::

    python dev.py bench lost [--list choosing|test] [--pairs N]
"""

from __future__ import annotations

import argparse
import cmath
import math
import time
from collections.abc import Iterator, Sequence
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

KINDS = ("ordinary", "long", "corner", "background")
# px of 128.
_LONG_PX = 40.0
_CORNER_PX = 8.0
_NEAR_PX, _FAR_PX = 3.0, 6.0
_BACKGROUND_PX = 20.0
# Plain background: no pixel within this distance, px of 128, differs from the corner's by more.
_PLAIN_PX, _PLAIN_LEVELS = 6, 14


@dataclass(frozen=True)
class Told:
    """One drag: what was told of it, and what is true; lengths are px of 128.

    Attributes:
        kind: One of ``KINDS``.
        pair: The number of its pair.
        landmarks: The names of the landmarks that were pulled.
        is_told: Whether the drag said that a handle was lost, or that it cannot be followed.
        off_px: The largest distance of a landmark from the place that was tracked; NaN if nobody
            knows.
        unsure_px: The error that the detector expects at the landmarks.
        steps: How many steps were made.
        seconds: CPU time of the drag, and of the same one without any check of its points; the
            latter is measured for ordinary drags only.
    """

    kind: str
    pair: int
    landmarks: tuple[str, ...]
    is_told: bool
    off_px: float
    unsure_px: float
    steps: int
    seconds: tuple[float, float]

    @property
    def is_false(self) -> bool:
        """Whether the drag was told as lost although the detector sees the content there."""
        return self.is_told and self.off_px < _NEAR_PX

    @property
    def is_missed(self) -> bool:
        """Whether nothing was told although the content is elsewhere, or cannot be followed."""
        return not self.is_told and not self.off_px <= _FAR_PX


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


def background_drag(pair: Pair) -> tuple[FloatArray, FloatArray] | None:
    """Return a handle on plain background and its target, ``2`` px; None if there is no such place.

    Of the plain places, the one is taken that is in the middle of them as they are numbered, so
    that the sides of the images take turns.
    """
    image = pair.images[0].astype(np.int16)
    height, width = image.shape[:2]
    unit = width / REFERENCE_SIZE_PX
    reach = math.ceil(_PLAIN_PX * unit)
    differs = (np.abs(image - image[0, 0]) >= _PLAIN_LEVELS).any(axis=2)
    # Whether a pixel's square contains any that differs: the largest value, in x and in y.
    near = np.lib.stride_tricks.sliding_window_view(
        np.pad(differs, reach, constant_values=True), (2 * reach + 1, 2 * reach + 1)
    ).any(axis=(2, 3))
    plain = np.argwhere(~near)
    if not len(plain):
        return None
    handle = plain[(len(plain) * (pair.index % 7 + 1)) // 8][::-1].astype(np.float32) + 0.5
    way = np.array([width / 2, height / 2], np.float32) - handle
    target = handle + _BACKGROUND_PX * unit * way / np.linalg.norm(way)
    return handle, target.astype(np.float32)


def measure(generator: Generator, detector: Detector, pair: Pair) -> Iterator[Told]:
    """Drag the first image of a pair in all ways, and yield what was told and what is true."""
    points_px = pair.points_px[0].astype(np.float32)
    for setting in ("1", "3"):
        task = task_of(pair, setting)
        chosen = list(task.landmarks)
        yield _drag(generator, detector, pair, KINDS[0], points_px[chosen], task.targets_px, chosen)
    for number, (landmark, target) in enumerate(long_drags(pair)):
        kind = KINDS[2] if number == 2 else KINDS[1]
        yield _drag(
            generator, detector, pair, kind, points_px[[landmark]], target[None], [landmark]
        )
    place = background_drag(pair)
    if place is not None:
        yield _drag(generator, detector, pair, KINDS[3], place[0][None], place[1][None], [])


def _drag(
    generator: Generator,
    detector: Detector,
    pair: Pair,
    kind: str,
    handles_px: FloatArray,
    targets_px: FloatArray,
    landmarks: list[int],
) -> Told:
    options = DragOptions()
    plain_s, judged_s = 0.0, time.process_time()
    result = drag(generator, pair.latents[0], handles_px, targets_px, options, judged=True)
    judged_s = time.process_time() - judged_s
    if kind == KINDS[0]:
        plain_s = time.process_time()
        drag(generator, pair.latents[0], handles_px, targets_px, options)
        plain_s = time.process_time() - plain_s
    off_px = unsure_px = math.nan
    if landmarks:
        image = np.stack(list(render_frames(generator, result.latents[-1][None])))
        unit = pair.images.shape[2] / REFERENCE_SIZE_PX
        found = detector.detect(image)
        apart = np.linalg.norm(found.points_px[0][landmarks] - result.handles_px[-1], axis=1)
        off_px = float(apart.max()) / unit
        unsure_px = float(found.error_px[0][landmarks].max()) / unit
    return Told(
        kind=kind,
        pair=pair.index,
        landmarks=tuple(LANDMARKS[one] for one in landmarks),
        is_told=any(result.lost) or any(result.flat),
        off_px=off_px,
        unsure_px=unsure_px,
        steps=result.steps,
        seconds=(judged_s, plain_s),
    )


def report(rows: Sequence[Told]) -> list[str]:
    """Return the lines of the table, and a line for each drag that was told falsely or missed."""
    lines = [
        f"| | drags | told | told, of those within {_NEAR_PX:g} px "
        f"| told, of those {_NEAR_PX:g} to {_FAR_PX:g} px off "
        f"| told, of those more than {_FAR_PX:g} px off |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        of = [row for row in rows if row.kind == kind]
        groups = (
            [row for row in of if row.off_px < _NEAR_PX],
            [row for row in of if _NEAR_PX <= row.off_px <= _FAR_PX],
            [row for row in of if row.off_px > _FAR_PX],
        )
        cells = (f"{sum(row.is_told for row in group)} of {len(group)}" for group in groups)
        told = sum(row.is_told for row in of)
        lines.append(f"| {kind} | {len(of)} | {told} | {' | '.join(cells)} |")
    timed = [row.seconds for row in rows if row.kind == KINDS[0]]
    judged_s, plain_s = np.sum(timed, axis=0).tolist() if timed else (0.0, 0.0)
    lines += [
        "",
        f"ordinary drags: {judged_s:.1f} s of CPU with the checks, {plain_s:.1f} s without",
    ]
    for name, wrong in (
        ("false alarm", [row for row in rows if row.is_false]),
        ("missed", [row for row in rows if row.is_missed]),
    ):
        for row in sorted(wrong, key=lambda row: (KINDS.index(row.kind), row.off_px)):
            lines.append(
                f"{name}: {row.kind}, pair {row.pair}, {', '.join(row.landmarks) or 'background'}: "
                f"{row.off_px:.1f} px off, detector's expected error {row.unsure_px:.1f} px, "
                f"{row.steps} steps"
            )
    return lines


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
    pairs = find_pairs(generator, detector, options.list, options.pairs)
    # The first drag of a model computes what the others use.
    next(measure(generator, detector, pairs[0]))
    for pair in pairs:
        rows += measure(generator, detector, pair)
    print("\n".join(report(rows)))
    return 0
