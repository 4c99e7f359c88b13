# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a region turns a part of the head, beside three handles.

A disc covers what is seen of the part. The truth are renders in which only what is under the disc
is turned in the picture's plane, by a row of angles (``LADDER``). A drag begins with the model's
image of the same head, and the region is this disc, asked to turn in its place. The three plain
handles are the middle of the disc and two points of its rim.

The angle that was reached is that of the render whose change from the unturned one is the most like
the change from the drag's first image to its last, inside the disc: nothing of the drag's own
tracking is believed. How much alike they are is a column of the table: where it is low, the model
has made something else than a turn. ::

    python -m tools.bench.local.turned [--list choosing|test] [--heads N]

The command needs Blender as a module (``bpy``).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.arrays import ByteArray, FloatArray
from engine.models import ModelCache
from engine.output.render import render_image
from stylegan2 import Generator
from tools.suzanne.truth import FactorMap

from ..regions import KINDS, turned_drag
from .drags import SIZE_PX

Array = NDArray[np.float64]

ANGLES = (10, 20, 30)
# Degrees of the renders that a result is compared with, for a turn to the asked side.
LADDER = (-10, 0, 10, 15, 20, 25, 30, 40)
PARTS = ("eye", "eye and brow", "ear", "muzzle")
FIRST_SEEDS = {"choosing": 500_000, "test": 600_000}


@dataclass(frozen=True)
class Case:
    """One part of one head.

    Attributes:
        part: One of ``PARTS``.
        values: ``F`` factors of the head.
        side: 1 if the turn is counter-clockwise as a person sees it, else -1.
        handle_px: The middle of the disc.
        radius_px: The radius of the disc.
        renders: ``A x H x W x 3`` uint8, in the order of ``LADDER``.
    """

    part: str
    values: Array
    side: int
    handle_px: Array
    radius_px: float
    renders: ByteArray


@dataclass(frozen=True)
class Turned:
    """The figures of one drag.

    Attributes:
        part: One of ``PARTS``.
        degrees: The angle that was asked for.
        kind: One of ``KINDS``.
        reached: The angle that was reached, degrees.
        alike: The correlation of the change with that of the best render.
        steps: The number of steps.
        says_reached: Whether the drag itself says so.
    """

    part: str
    degrees: int
    kind: str
    reached: float
    alike: float
    steps: int
    says_reached: bool


def angle_of(change: Array, renders: Array, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the angle of the render that a change is most like, degrees, and how much alike.

    Args:
        change: ``H x W x 3``, the last image of a drag less its first.
        renders: ``A x H x W x 3``, each render less the unturned one, in the order of ``LADDER``.
        inside: ``H x W``, the pixels to compare.

    Returns:
        The angle, between two of the ladder by a parabola; and the correlation with the change of
        the nearest render that is turned, from -1 to 1; 0 if nothing has changed.
    """
    wanted = change[inside].ravel()
    rows = renders[:, inside].reshape(len(renders), -1)
    errors = ((rows - wanted) ** 2).mean(axis=1)
    best = int(np.clip(errors.argmin(), 1, len(LADDER) - 2))
    at = [LADDER[best + step] for step in (-1, 0, 1)]
    square, line, _ = np.polyfit(at, errors[best - 1 : best + 2], 2)
    angle = float(np.clip(-line / (2 * square), at[0], at[2])) if square > 0 else float(at[1])
    near = min((n for n in range(len(LADDER)) if LADDER[n]), key=lambda n: abs(LADDER[n] - angle))
    if not wanted.std():
        return angle, 0.0
    return angle, float(np.corrcoef(rows[near], wanted)[0, 1])


def measure(generator: Generator, case: Case) -> Iterator[Turned]:
    """Drag the head of a case in all ways, and yield the figures."""
    values = torch.from_numpy(case.values.astype(np.float32))[None]
    latent: FloatArray = FactorMap(generator).latents(values)[0].contiguous().numpy()
    begin = render_image(generator, latent).astype(np.float64)
    unturned = case.renders[LADDER.index(0)].astype(np.float64)
    changes = case.renders - unturned
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] + 0.5
    inside = np.hypot(x - case.handle_px[0], y - case.handle_px[1]) < case.radius_px
    for degrees in ANGLES:
        for kind in KINDS:
            middle = complex(*case.handle_px)
            way = middle, middle, case.radius_px, case.side * degrees
            last, steps, says = turned_drag(generator, latent, kind, *way)
            change = render_image(generator, last).astype(np.float64) - begin
            angle, alike = angle_of(change, changes, inside)
            yield Turned(case.part, degrees, kind, angle, alike, steps, says)


def _print(rows: list[Turned]) -> None:
    print("| | degrees | reached, mean | error, mean (largest) | alike | steps | says reached |")
    print("|---|---|---|---|---|---|---|")
    for part in PARTS:
        for kind in KINDS:
            for degrees in ANGLES:
                of = [r for r in rows if (r.part, r.kind, r.degrees) == (part, kind, degrees)]
                if not of:
                    continue
                errors = [abs(row.reached - degrees) for row in of]
                print(
                    f"| {part}, {kind} | {degrees} | {statistics.mean(r.reached for r in of):.1f} "
                    f"| {statistics.mean(errors):.1f} ({max(errors):.1f}) "
                    f"| {statistics.mean(r.alike for r in of):.2f} "
                    f"| {statistics.median(r.steps for r in of):g} "
                    f"| {sum(r.says_reached for r in of)} of {len(of)} |"
                )


def main() -> None:
    """Measure the list that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="the seeds")
    parser.add_argument("--heads", type=int, default=6, help="heads for each part")
    parser.add_argument("--samples", type=int, default=32, help="rays per pixel")
    options = parser.parse_args()
    from .turned_renders import Renders  # needs Blender

    generator = ModelCache(torch.device("cpu")).get("suzanne").generator
    rows: list[Turned] = []
    with tempfile.TemporaryDirectory() as folder:
        renders = Renders(Path(folder), options.samples)
        for part in PARTS:
            seed, found = FIRST_SEEDS[options.list], 0
            while found < options.heads:
                seed += 1
                case = renders.case(part, seed)
                if case is not None:
                    found += 1
                    rows += measure(generator, case)
    _print(rows)


if __name__ == "__main__":
    main()
