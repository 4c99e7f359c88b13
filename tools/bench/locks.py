# SPDX-License-Identifier: GPL-3.0-or-later
"""``locks``: how well a factor is kept by drags that are kept out of its direction.

Each drag takes one landmark of an image to its place in another. Of the pose and shape factors, the
one that a free drag changes most is locked in a second drag. Its direction is what an artist would
make: the mean difference of images in which the factor is large and images in which it is small.
The factors of a latent are known (``tools/suzanne/truth.py``). ::

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
from stylegan2 import Generator
from tools.suzanne.factors import FACTORS, NUM_COARSE
from tools.suzanne.latents import COARSE_LATENTS
from tools.suzanne.truth import Truth, truth_of

from .landmarks import Detector
from .pairs import FIRST_SEEDS, REFERENCE_SIZE_PX, find_pairs, task_of

# Images that directions are made of, and what share of them is at each end.
_SEEDS = range(700_000, 700_400)
_END = 0.25


@dataclass(frozen=True)
class Kept:
    """A drag without and with a lock.

    Attributes:
        factor: The factor that was locked.
        free: How much the drag changes it without the lock, of its range from -1 to 1.
        locked: The same with the lock.
        free_px: How far the handle is from its target without the lock, px of 128.
        locked_px: The same with the lock.
    """

    factor: str
    free: float
    locked: float
    free_px: float
    locked_px: float


def directions_of(generator: Generator, truth: Truth) -> FloatArray:
    """Return the direction of each factor, ``F x num_ws x w_dim``, made of images."""
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
    generator = ModelCache(torch.device("cpu")).get("suzanne")[0].generator
    truth = truth_of(generator)
    assert truth is not None, "the built-in model is made of factors"
    directions = directions_of(generator, truth)
    rows = []
    for pair in find_pairs(generator, Detector.load(), options.list, options.pairs):
        task = task_of(pair, "1")
        start, unit = pair.latents[0], pair.images.shape[2] / REFERENCE_SIZE_PX
        points = pair.points_px[0][list(task.landmarks)].astype(np.float32)
        before = factors_of(truth, start)
        ends, left = [], []
        locked = Locked()
        for _ in range(2):
            result = drag(generator, start, points, task.targets_px, DragOptions(), locked=locked)
            ends.append(np.abs(factors_of(truth, result.latents[-1]) - before))
            left.append(float(result.distances_px[-1]) / unit)
            factor = int(ends[0].argmax())
            locked = Locked(kept=directions[factor : factor + 1])
        rows.append(Kept(FACTORS[factor], float(ends[0][factor]), float(ends[1][factor]), *left))
        print(rows[-1], flush=True)
    _report(rows)
    return 0


def _report(rows: list[Kept]) -> None:
    free, locked = (np.array([getattr(row, name) for row in rows]) for name in ("free", "locked"))
    print(f"{len(rows)} drags; locked were {sorted({row.factor for row in rows})}")
    print(f"mean change of the factor: {free.mean():.3f} free, {locked.mean():.3f} locked")
    print(f"share of the free change: {locked.sum() / free.sum():.1%}, ", end="")
    print(f"median {np.median(locked / free):.1%}, largest {(locked / free).max():.1%}")
    for name in ("free_px", "locked_px"):
        rest = np.array([getattr(row, name) for row in rows])
        print(f"{name}: mean {rest.mean():.2f} px of 128, within 2 px {np.mean(rest <= 2):.0%}")
