# SPDX-License-Identifier: GPL-3.0-or-later
"""``locks``: how well a factor is kept by drags that are kept out of its direction.

Each drag takes one landmark of an image to its place in another. Of the pose and shape factors, the
one that a free drag changes most is locked in further drags, by a direction of each of ``KINDS``:
the mean difference of pairs of images that differ in this factor alone; the principal direction
that follows it most closely; and the mean difference of images in which it is large and others in
which it is small. The factors of a latent are known (``tools/suzanne/truth.py``). ::

    python dev.py bench locks [--list choosing|test] [--pairs N]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch

from engine.arrays import FloatArray
from engine.models import ModelCache, sample_latent
from engine.solving.drag import drag
from engine.solving.lock import Locked
from engine.solving.options import DragOptions
from engine.solving.principal import principal_components
from stylegan2 import Generator
from tools.suzanne.factors import FACTORS, NUM_COARSE
from tools.suzanne.latents import COARSE_LATENTS
from tools.suzanne.truth import Truth, truth_of

from .landmarks import Detector
from .pairs import FIRST_SEEDS, REFERENCE_SIZE_PX, find_pairs, task_of

# Images that directions are made of, and what share of them is at each end.
_SEEDS = range(700_000, 700_400)
_END = 0.25
# How many pairs a direction is made of.
_PAIRS = 8
KINDS = ("pairs", "principal", "images")


@dataclass(frozen=True)
class Kept:
    """A drag without and with locks.

    Attributes:
        factor: The factor that was locked.
        changes: How much the drag changes it, of its range from -1 to 1: without a lock, and with
            a direction of each of ``KINDS`` locked.
        left_px: How far the handle is from its target, likewise, px of 128.
    """

    factor: str
    changes: tuple[float, ...]
    left_px: tuple[float, ...]


def directions_of(generator: Generator, truth: Truth) -> FloatArray:
    """Return directions of the factors, ``KINDS x F x num_ws x w_dim``."""
    made = [of_pairs(truth), principal_of(generator, truth), of_images(generator, truth)]
    return np.stack(made)


def of_pairs(truth: Truth) -> FloatArray:
    """Return the mean difference of images with a factor at 1 and at -1, else equal."""
    source = torch.Generator().manual_seed(5)
    found = []
    for factor in range(len(FACTORS)):
        values = 2 * torch.rand(_PAIRS, len(FACTORS), generator=source) - 1
        ends = []
        for value in (1.0, -1.0):
            values[:, factor] = value
            ends.append(truth.latents(values).mean(dim=0))
        found.append((ends[0] - ends[1]).numpy())
    whole: FloatArray = np.stack(found).astype(np.float32)
    return whole


def principal_of(generator: Generator, truth: Truth) -> FloatArray:
    """Return for each factor the principal direction that changes it most."""
    components = principal_components(generator)
    ends = truth.factors(components.mean + components.scaled())
    changes = (ends - truth.factors(components.mean)).abs().numpy()
    scaled = components.scaled().numpy()[changes.argmax(axis=0)]
    return np.repeat(scaled[:, None], generator.num_ws, axis=1)


def of_images(generator: Generator, truth: Truth) -> FloatArray:
    """Return the mean difference of images with a large and with a small value of a factor."""
    latents = np.stack([sample_latent(generator, seed, 1.0) for seed in _SEEDS])
    values = truth.factors(torch.from_numpy(latents[:, 0])).numpy()
    count = int(len(latents) * _END)
    order = values.argsort(axis=0)
    ends = latents[order[-count:]].mean(axis=0) - latents[order[:count]].mean(axis=0)
    return np.asarray(ends, dtype=np.float32)


def factors_of(truth: Truth, latent: FloatArray) -> FloatArray:
    """Return pose and shape of a latent: the factors of the mean of its first layers."""
    mean = torch.from_numpy(latent[:COARSE_LATENTS]).mean(dim=0)
    found: FloatArray = truth.factors(mean)[:NUM_COARSE].numpy()
    return found


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench locks``; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench locks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="the seeds")
    parser.add_argument("--pairs", type=int, default=50, help="number of pairs of images")
    options = parser.parse_args(argv)
    generator = ModelCache(torch.device("cpu")).get("suzanne").generator
    truth = truth_of(generator)
    assert truth is not None, "the built-in model is made of factors"
    directions = directions_of(generator, truth)
    rows = []
    for pair in find_pairs(generator, Detector.load(), options.list, options.pairs):
        task = task_of(pair, "1")
        start, unit = pair.latents[0], pair.images.shape[2] / REFERENCE_SIZE_PX
        points = pair.points_px[0][list(task.landmarks)].astype(np.float32)
        before = factors_of(truth, start)
        changes, left, factor = [], [], 0
        for kind in range(-1, len(KINDS)):
            locked = Locked() if kind < 0 else Locked(kept=directions[kind, factor : factor + 1])
            result = drag(generator, start, points, task.targets_px, DragOptions(), locked=locked)
            change = np.abs(factors_of(truth, result.latents[-1]) - before)
            factor = int(change.argmax()) if kind < 0 else factor
            changes.append(float(change[factor]))
            left.append(float(result.distances_px[-1]) / unit)
        rows.append(Kept(FACTORS[factor], tuple(changes), tuple(left)))
        print(rows[-1], flush=True)
    _report(rows)
    return 0


def _report(rows: list[Kept]) -> None:
    changes = np.array([row.changes for row in rows])
    left_px = np.array([row.left_px for row in rows])
    shares = changes / changes[:, :1]
    print(f"{len(rows)} drags; locked were {sorted({row.factor for row in rows})}")
    print("| lock | mean change | share of all | median | largest | within 2 px |")
    print("|---|---|---|---|---|---|")
    for column, name in enumerate(("none", *KINDS)):
        print(
            f"| {name} | {changes[:, column].mean():.3f} "
            f"| {changes[:, column].sum() / changes[:, 0].sum():.1%} "
            f"| {np.median(shares[:, column]):.1%} | {shares[:, column].max():.1%} "
            f"| {np.mean(left_px[:, column] <= 2):.0%} |"
        )
