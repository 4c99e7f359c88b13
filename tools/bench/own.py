# SPDX-License-Identifier: GPL-3.0-or-later
"""``own``: whether an image of one's own picture is dragged as far, and as near, as a sampled one.

Landmarks of one render are dragged to their places in another, as in ``drag``. The first render is
there three times: as the image that the model makes of its factors (*sampled*: one w for all
layers, as for a seed), as the latent that was found for the render (*inverted*), and the same with
the model tuned to the render (*tuned*). *Pull Back* is at 1, either before the drag or after it. ::

    python -m tools.bench own [--pairs N] [--settings 1,3]

The detector finds where the landmarks are in the result. The command needs Blender as a module
(``bpy``), unless the renders exist already.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engine.arrays import ByteArray, FloatArray
from engine.inversion.alignment import Alignment
from engine.inversion.solve import InversionOptions, invert
from engine.inversion.tuning import tune
from engine.output.render import render_image
from engine.solving.typical import distance, pulled_back
from stylegan2 import Generator, load_generator
from stylegan2.models import builtin_model_path
from tools.suzanne.truth import truth_of

from .drag import MAX_STEPS
from .invert import SIZE_PX, load_renders
from .landmarks import Detector
from .measures import ARRIVED_PX, image_change
from .pairs import all_in_sight, landmarks_of
from .rows import OURS, ROWS

# Of the renders; the model was trained on the sets 1 and 2.
_SET = 78
# How many renders are made to find pairs whose landmarks are all in sight.
_RENDERS = 120
SETTINGS = ("1", "3")
IMAGES = ("sampled", "inverted", "tuned")
PULLS = ("", "before", "after")
_WHOLE = Alignment.whole(SIZE_PX, SIZE_PX)


@dataclass(frozen=True)
class Start:
    """An image that is dragged.

    Attributes:
        name: One of ``IMAGES``.
        generator: The model, tuned or not.
        latent: ``num_ws x w_dim`` float32.
    """

    name: str
    generator: Generator
    latent: FloatArray


@dataclass(frozen=True)
class Outcome:
    """The end of one drag.

    Attributes:
        image: One of ``IMAGES``.
        pull: One of ``PULLS``.
        setting: One of ``SETTINGS``.
        reached: Whether the drag says so.
        far_px: Mean distance of the dragged landmarks from their targets, by the detector.
        farthest_px: The largest of these distances.
        way_px: What ``far_px`` was before the drag.
        error: Mean absolute difference of the image that was dragged and the render, before the
            drag, a share of the range.
        distance: Of the result from the model's own images, see ``typical.distance``.
    """

    image: str
    pull: str
    setting: str
    reached: bool
    far_px: float
    farthest_px: float
    way_px: float
    error: float
    distance: float


class _Measure:
    """The model, the detector, and the drags."""

    def __init__(self, folder: Path) -> None:
        path = builtin_model_path("suzanne")
        assert path is not None
        self._base = load_generator(path)
        self._detector = Detector.load()
        truth = truth_of(self._base)
        assert truth is not None
        self._truth = truth
        self._renders = load_renders(folder, _SET, _RENDERS)
        found = self._detector.detect(self._renders.images)
        self._points_px = found.points_px
        fit = all_in_sight(found, SIZE_PX) & self._renders.visible.astype(bool).all(axis=1)
        numbers = np.flatnonzero(fit).tolist()
        self.pairs: list[tuple[int, int]] = list(zip(numbers[::2], numbers[1::2], strict=False))

    def starts(self, first: int) -> Iterator[Start]:
        """Return the images of a render."""
        pixels = self._renders.images[first]
        factors = torch.from_numpy(self._renders.factors[first])[None]
        yield Start("sampled", self._base, self._truth.latents(factors)[0].contiguous().numpy())
        found = invert(self._base, pixels, _WHOLE, InversionOptions(align=False))
        yield Start("inverted", self._base, found.latent)
        tuned = tune(self._base, pixels, _WHOLE, found.latent)
        yield Start("tuned", tuned.generator, found.latent)

    def drags(self, number: int, setting: str, start: Start) -> Iterator[Outcome]:
        """Drag landmarks of an image to their places in the pair's second render."""
        first, second = self.pairs[number]
        landmarks = list(landmarks_of(number, int(setting)))
        targets = self._points_px[second, landmarks]
        pixels = self._renders.images[first]
        pulled = pulled_back(self._base, start.latent)
        # After the drag, only what was dragged is pulled, so both begin with the same drag.
        ends: list[tuple[str, FloatArray, bool, float, float]] = []
        for pull, latent in (("", start.latent), ("before", pulled)):
            image = render_image(start.generator, latent)
            handles = self._places(image, landmarks)
            way = float(np.linalg.norm(handles - targets, axis=1).mean())
            outcome = ROWS[OURS].run(
                start.generator, latent, handles, targets, None, MAX_STEPS, judged=True
            )
            facts = outcome.reached, way, image_change(pixels, image) / 255
            ends.append((pull, outcome.latent, *facts))
            if not pull:
                ends.append(("after", pulled_back(self._base, outcome.latent), *facts))
        for pull, latent, reached, way, error in ends:
            found = self._places(render_image(start.generator, latent), landmarks)
            far = np.linalg.norm(found - targets, axis=1)
            far_px, farthest_px = float(far.mean()), float(far.max())
            apart = distance(self._base, latent)
            names = start.name, pull, setting
            yield Outcome(*names, reached, far_px, farthest_px, way, error, apart)

    def _places(self, image: ByteArray, landmarks: list[int]) -> FloatArray:
        found: FloatArray = self._detector.detect(image[None]).points_px[0, landmarks]
        return found.astype(np.float32)


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a table in Markdown: a line for each image and *Pull Back*."""
    lines = [
        "| landmarks | image | *Pull Back* | drags | picture's error | way | says it reached | "
        f"within {ARRIVED_PX:g} px | distance | median | from the model |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for setting in dict.fromkeys(one.setting for one in outcomes):
        for image in IMAGES:
            for pull in PULLS:
                of = [
                    one
                    for one in outcomes
                    if (one.image, one.pull, one.setting) == (image, pull, setting)
                ]
                if of:
                    lines.append(_line(of))
    return lines


def _line(of: Sequence[Outcome]) -> str:
    far = [one.far_px for one in of]
    arrived = np.mean([one.farthest_px <= ARRIVED_PX for one in of])
    return (
        f"| {of[0].setting} | {of[0].image} | {of[0].pull} | {len(of)} "
        f"| {np.mean([one.error for one in of]):.1%} "
        f"| {np.mean([one.way_px for one in of]):.1f} px "
        f"| {np.mean([one.reached for one in of]):.0%} | {arrived:.0%} "
        f"| {np.mean(far):.2f} px | {np.median(far):.2f} px "
        f"| {np.mean([one.distance for one in of]):.2f} |"
    )


def main(argv: list[str]) -> int:
    """Run ``python -m tools.bench own``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="own", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("dist/invert"), help="the renders")
    parser.add_argument("--pairs", type=int, default=10, help="how many pairs of renders")
    parser.add_argument("--settings", default=",".join(SETTINGS), help="how many landmarks")
    options = parser.parse_args(argv)
    measure = _Measure(options.data)
    if len(measure.pairs) < options.pairs:
        print(f"error: there are only {len(measure.pairs)} pairs", file=sys.stderr)
        return 1
    outcomes: list[Outcome] = []
    for number in range(options.pairs):
        for start in measure.starts(measure.pairs[number][0]):
            for setting in options.settings.split(","):
                new = list(measure.drags(number, setting, start))
                outcomes += new
                far = ", ".join(f"{one.far_px:.2f}" for one in new)
                print(f"{number}: {start.name}, {setting}: {far} px", file=sys.stderr)
    print("\n".join(table(outcomes)))
    return 0
