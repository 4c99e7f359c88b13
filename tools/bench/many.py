# SPDX-License-Identifier: GPL-3.0-or-later
"""``many``: whether a kept drag, applied to other seeds, comes to the same end in each.

Each kind of drag is made once, in an image of its own. What it has changed is applied to other
images in three ways: with the strength 1, the raw difference of the latents; with the strength that
brings the latent as far along the change, in standard deviations of W (Nguyen et al., "Edit One for
All", CVPR 2024); and with the strength that *Apply to Many* solves, also with its *Exact Place*.
Where the landmark then is, is measured by the detector. The end is the place of the landmark in the
image of the drag, from the mean of the pinned landmarks if there are any. ::

    python dev.py bench many [--list choosing|test] [--others N] [--picture OUT.jpg]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from engine.arrays import ByteArray, FloatArray
from engine.models import ModelCache, sample_latent
from engine.output.render import render_frames
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from engine.solving.principal import principal_components
from engine.solving.same_end import SameEnd
from stylegan2 import Generator

from .landmarks import LANDMARKS, Detector
from .measures import ARRIVED_PX
from .pairs import FIRST_SEEDS, REFERENCE_SIZE_PX, TRUNCATION_PSI, all_in_sight
from .pictures import marked

# How the strength of another image is found.
ROWS = ("strength 1", "as far in W", "solved", "solved, Exact Place")
_AT_ONCE = 32
_GAP_PX, _HEADING_PX = 6, 18


@dataclass(frozen=True)
class Kind:
    """A kind of drag: the landmark that is moved, those that are pinned, and how far, px of 128."""

    name: str
    moved: str
    pinned: tuple[str, ...]
    way_px: tuple[float, float]

    @property
    def landmarks(self) -> list[int]:
        """The indices of the landmarks, the moved one first."""
        return [LANDMARKS.index(name) for name in (self.moved, *self.pinned)]


KINDS = (
    Kind("turn the head", "nose", (), (10.0, 0.0)),
    Kind("nod", "nose", (), (0.0, 8.0)),
    Kind("lift an ear", "ear_left", ("nose", "ear_right"), (0.0, -8.0)),
    Kind("open the mouth", "chin", ("nose",), (0.0, 6.0)),
)


@dataclass(frozen=True)
class Seen:
    """An image with what the detector sees in it: ``H x W x 3`` uint8, and ``L x 2`` px."""

    image: ByteArray
    points_px: FloatArray


@dataclass(frozen=True)
class Outcome:
    """What became of one other image.

    Attributes:
        kind: The name of the kind.
        seed: The seed of the image.
        left_px: For each of ``ROWS``, how far the landmark is from the end along the drag's way, px
            of 128.
        aside_px: For each of ``ROWS``, how far it is from the very place.
        strengths: For each of ``ROWS`` but the last one.
        told: Whether *Apply to Many* says that it has arrived, without and with *Exact Place*.
        seconds: How long both took.
        images: Before, and for each of ``ROWS``, with the landmarks.
    """

    kind: str
    seed: int
    left_px: tuple[float, ...]
    aside_px: tuple[float, ...]
    strengths: tuple[float, ...]
    told: tuple[bool, bool]
    seconds: tuple[float, float]
    images: tuple[Seen, ...]


class Example:
    """A drag of one image, and its measures of others."""

    def __init__(self, generator: Generator, detector: Detector, kind: Kind, seed: int) -> None:
        """Make the drag; see ``Kind``."""
        self._generator, self._detector, self.kind = generator, detector, kind
        self._unit = generator.img_shape[2] / REFERENCE_SIZE_PX
        self.start = sample_latent(generator, seed, TRUNCATION_PSI)
        self.before = self._see(self.start)
        handles = self.before.points_px[kind.landmarks]
        targets = handles.copy()
        targets[0] += np.array(kind.way_px, np.float32) * self._unit
        result = drag(generator, self.start, handles, targets, DragOptions())
        self.change = result.latents[-1] - self.start
        self.after = self._see(self.start + self.change)
        self.solver = SameEnd(generator, self.start, self.change, handles[:1], handles[1:])

    def measure(self, seed: int) -> Outcome:
        """Apply the change to the image of a seed in all ways."""
        latent = sample_latent(self._generator, seed, TRUNCATION_PSI)
        started = time.perf_counter()
        solved = self.solver.apply(latent)
        middle = time.perf_counter()
        exact = self.solver.finish(latent, solved)
        ended = time.perf_counter()
        assert exact.rest is not None
        strengths = 1.0, self._as_far(latent), solved.strength
        results = [latent + np.float32(one) * self.change for one in strengths]
        results.append(latent + np.float32(exact.strength) * self.change + exact.rest)
        seen = [self._see(one) for one in results]
        errors = np.stack([self.relative(one) - self.relative(self.after) for one in seen])
        way = np.array(self.kind.way_px) / np.linalg.norm(self.kind.way_px)
        return Outcome(
            kind=self.kind.name,
            seed=seed,
            left_px=tuple(np.abs(errors @ way / self._unit).tolist()),
            aside_px=tuple((np.linalg.norm(errors, axis=1) / self._unit).tolist()),
            strengths=strengths,
            told=(solved.has_arrived, exact.has_arrived),
            seconds=(middle - started, ended - middle),
            images=(self._see(latent), *seen),
        )

    def relative(self, seen: Seen) -> FloatArray:
        """Return where the moved landmark is from the mean of the pinned ones, 2 px."""
        moved, *pinned = seen.points_px[self.kind.landmarks]
        found: FloatArray = moved - np.mean(pinned, axis=0) if pinned else moved
        return found

    def end_in(self, seen: Seen) -> FloatArray:
        """Return where the end is in an image, 2 px."""
        moved = seen.points_px[self.kind.landmarks[0]]
        end: FloatArray = moved + self.relative(self.after) - self.relative(seen)
        return end

    def _as_far(self, latent: FloatArray) -> float:
        """Return the strength that brings a latent as far along the change, in sigmas of W."""
        components = principal_components(self._generator)
        whiten = (components.directions / components.sigmas[:, None]).T.numpy()
        way = self.change @ whiten
        lack = (self.start + self.change - latent) @ whiten
        return float((way * lack).sum() / (way**2).sum())

    def _see(self, latent: FloatArray) -> Seen:
        image = np.stack(list(render_frames(self._generator, latent[None])))
        points_px = self._detector.detect(image).points_px[0].astype(np.float32)
        return Seen(image[0], points_px)


def clear_seeds(generator: Generator, detector: Detector, first: int, count: int) -> list[int]:
    """Return the first seeds from one on whose landmarks are all visible; see ``pairs``."""
    found: list[int] = []
    while len(found) < count:
        seeds = range(first, first + _AT_ONCE)
        latents = np.stack([sample_latent(generator, seed, TRUNCATION_PSI) for seed in seeds])
        images = np.stack(list(render_frames(generator, latents)))
        fit = all_in_sight(detector.detect(images), images.shape[2])
        found += [seed for seed, is_fit in zip(seeds, fit, strict=True) if is_fit]
        first += _AT_ONCE
    return found[:count]


def report(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the lines of the tables."""
    lines = [
        f"| of {len(outcomes)} images | within {ARRIVED_PX:g} px of the end, along the way "
        "| median | 90% | within 2 px of the very place | median |",
        "|---|---|---|---|---|---|",
    ]
    for column, name in enumerate(ROWS):
        left = np.array([one.left_px[column] for one in outcomes])
        aside = np.array([one.aside_px[column] for one in outcomes])
        lines.append(
            f"| {name} | {np.mean(left <= ARRIVED_PX):.0%} | {np.median(left):.1f} px "
            f"| {np.percentile(left, 90):.1f} px | {np.mean(aside <= ARRIVED_PX):.0%} "
            f"| {np.median(aside):.1f} px |"
        )
    for number, name in enumerate(ROWS[2:]):
        told = [one for one in outcomes if one.told[number]]
        far = [one.aside_px[3] if number else one.left_px[2] for one in told]
        right = sum(px <= ARRIVED_PX for px in far)
        seconds = np.median([one.seconds[number] for one in outcomes])
        lines.append(
            f"{name}: says of {len(told)} that they have arrived, and {right} of these have; "
            f"{seconds:.1f} s each{' more' if number else ''}"
        )
    return lines


def by_kind(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the lines of the table of kinds: shares within 2 px of the end along the way."""
    lines = [f"| drag | {' | '.join(ROWS)} | strengths |", "|---|" + "---|" * (len(ROWS) + 1)]
    for kind in dict.fromkeys(one.kind for one in outcomes):
        of = [one for one in outcomes if one.kind == kind]
        shares = (np.mean([one.left_px[n] <= ARRIVED_PX for one in of]) for n in range(len(ROWS)))
        strengths = np.percentile([one.strengths[2] for one in of], [0, 50, 100])
        lowest, middle, highest = strengths.tolist()
        lines.append(
            f"| {kind} | {' | '.join(f'{share:.0%}' for share in shares)} "
            f"| {lowest:.1f} to {highest:.1f}, median {middle:.1f} |"
        )
    return lines


def worst(outcomes: Sequence[Outcome], count: int = 10) -> list[Outcome]:
    """Return those that *Apply to Many* has left farthest from the end."""
    return sorted(outcomes, key=lambda one: -one.left_px[2])[:count]


def picture(examples: Sequence[Example], outcomes: Sequence[Outcome]) -> Image.Image:
    """Return a sheet: for each kind its drag, an other image, and the worst one.

    Red is where the landmark is, blue where the end is.
    """
    rows = []
    for example in examples:
        of = [one for one in outcomes if one.kind == example.kind.name]
        landmark = example.kind.landmarks[:1]
        cells = []
        for text, seen in ((example.kind.name, example.before), ("dragged", example.after)):
            end = example.end_in(seen)[None]
            cells.append((text, marked(seen.image, seen.points_px[landmark], end)))
        for one in (of[0], worst(of, 1)[0]):
            texts = (f"seed {one.seed}", "strength 1", "", f"solved: {one.strengths[2]:.2f}")
            for text, seen in zip(texts, one.images, strict=False):
                if text:
                    end = example.end_in(seen)[None]
                    cells.append((text, marked(seen.image, seen.points_px[landmark], end)))
        rows.append(cells)
    side = rows[0][0][1].width + _GAP_PX
    sheet = Image.new("RGB", (len(rows[0]) * side, len(rows) * (side + _HEADING_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, cells in enumerate(rows):
        for column, (text, cell) in enumerate(cells):
            left, top = column * side, line * (side + _HEADING_PX)
            draw.text((left + 2, top), text, fill="black", font_size=14)
            sheet.paste(cell, (left, top + _HEADING_PX))
    return sheet


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench many``; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench many", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="the seeds")
    parser.add_argument("--others", type=int, default=50, help="number of other images of a drag")
    parser.add_argument("--picture", type=Path, help="a picture of drags and of the worst images")
    options = parser.parse_args(argv)
    generator = ModelCache(torch.device("cpu")).get("suzanne").generator
    detector = Detector.load()
    count = len(KINDS) + options.others
    seeds = clear_seeds(generator, detector, FIRST_SEEDS[options.list], count)
    examples, outcomes = [], list[Outcome]()
    for kind, seed in zip(KINDS, seeds, strict=False):
        examples.append(Example(generator, detector, kind, seed))
        for other in seeds[len(KINDS) :]:
            outcomes.append(examples[-1].measure(other))
        of_kind = [one for one in outcomes if one.kind == kind.name]
        print("\n".join([kind.name, *report(of_kind), ""]), flush=True)
    print("\n".join([*report(outcomes), "", *by_kind(outcomes), "", "The worst:"]))
    for one in worst(outcomes):
        px = ", ".join(f"{left:.1f}" for left in one.left_px)
        print(f"{one.kind}, seed {one.seed}, {one.strengths[2]:.2f}: {px} px; told {one.told}")
    if options.picture is not None:
        picture(examples, outcomes).save(options.picture, quality=88)
    return 0
