# SPDX-License-Identifier: GPL-3.0-or-later
"""What is dragged: pairs of seeds in two lists that are kept apart, and the tasks made of them.

The list `choosing` is for trying methods and settings; the list `test` is for the figures that are
published, and nothing is ever chosen by it.  The paper's protocol (Pan et al., "Drag Your GAN",
section 4.2, "Face landmark manipulation"): landmarks of image A are dragged to where they are in
image B, both from random seeds.

Seeds are taken two by two.  A pair is left out unless the detector sees all landmarks in both
images, is sure of their places, and finds them inside: no method can drag what is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.arrays import ByteArray, FloatArray
from engine.models import sample_latent
from engine.output.render import render_frames
from stylegan2 import Generator

from .landmarks import LANDMARKS, Detection, Detector

BoolArray = npt.NDArray[np.bool_]

FIRST_SEEDS = {"choosing": 100_000, "test": 200_000}
"""Of each list; the lists are 100,000 seeds long and so never meet."""
TRUNCATION_PSI = 0.7
REFERENCE_SIZE_PX = 128
"""Lengths below, and all distances in results, are pixels of an image of this size."""
LARGEST_ERROR_PX = 2.0
LEAST_VISIBLE = 0.5
BORDER_PX = 3.0
"""What the detector must say of each landmark: the error it expects, the probability that it is
visible, its distance from the image's edge."""

LONGEST_LIST = 50_000
_AT_ONCE = 32

TRIPLE = (0, 1, 3)
"""Pair i drags the landmarks i, i + 1 and i + 3 (mod 7).  A perfect difference set: in seven pairs
each landmark serves three times and each two of them meet exactly once."""

MASK_SHIFT_PX = 8.0
MASK_LEAST_PX = 3.0
MASK_RADIUS_PX = 22.0
_GOLDEN_ANGLE_RAD = math.pi * (3.0 - math.sqrt(5.0))

SETTINGS = ("1", "3", "7", "mask", "back1", "back3")
"""Landmarks of a pair to drag: one, three, all; one with a mask; one, three there and back."""


@dataclass(frozen=True)
class Pair:
    """Two images; number `index` of its list.

    Attributes:
        latents: `2 x num_ws x w_dim` float32, of A and of B.
        images: `2 x H x W x 3` uint8.
        points_px: `2 x L x 2` float32, image pixels, where the detector sees the landmarks.
    """

    index: int
    seeds: tuple[int, int]
    latents: FloatArray
    images: ByteArray
    points_px: FloatArray


@dataclass(frozen=True)
class Task:
    """One drag to make.

    Attributes:
        setting: of `SETTINGS`.
        landmarks: which ones are dragged, indices into `LANDMARKS`.
        handles_px: `P x 2` float32, image pixels.
        targets_px: the same.
        mask: `H x W` uint8, 255 = may change; None without.
        returns: whether the points are dragged back afterwards.
    """

    setting: str
    landmarks: tuple[int, ...]
    handles_px: FloatArray
    targets_px: FloatArray
    mask: ByteArray | None = None
    returns: bool = False


def find_pairs(generator: Generator, detector: Detector, name: str, count: int) -> list[Pair]:
    """The first `count` pairs of a list.

    Raises:
        ValueError: the generator has hardly any pair with all landmarks in sight.
    """
    pairs: list[Pair] = []
    for pair in _all_pairs(generator, detector, FIRST_SEEDS[name]):
        if len(pairs) == count:
            return pairs
        pairs.append(pair)
    raise ValueError(
        f"only {len(pairs)} of {count} pairs were found in {LONGEST_LIST} seeds: the detector "
        "hardly ever sees all landmarks of this model's images"
    )


def _all_pairs(generator: Generator, detector: Detector, first_seed: int) -> Iterator[Pair]:
    number = 0
    for start in range(first_seed, first_seed + LONGEST_LIST, _AT_ONCE):
        seeds = range(start, start + _AT_ONCE)
        latents = np.stack([sample_latent(generator, seed, TRUNCATION_PSI) for seed in seeds])
        images = np.stack(list(render_frames(generator, latents)))
        found = detector.detect(images)
        fit = all_in_sight(found, images.shape[1])
        for a in range(0, _AT_ONCE, 2):
            both = slice(a, a + 2)
            if fit[both].all():
                points = found.points_px[both]
                yield Pair(number, (seeds[a], seeds[a + 1]), latents[both], images[both], points)
                number += 1


def all_in_sight(found: Detection, size_px: int) -> BoolArray:
    """For each of N images of that size, `N` bool: every landmark is seen, sure and inside."""
    unit = size_px / REFERENCE_SIZE_PX
    low, high = BORDER_PX * unit, size_px - BORDER_PX * unit
    inside = ((found.points_px > low) & (found.points_px < high)).all(axis=2)
    sure = (found.error_px < LARGEST_ERROR_PX * unit) & (found.visible > LEAST_VISIBLE)
    fit: BoolArray = (inside & sure).all(axis=1)
    return fit


def landmarks_of(index: int, count: int) -> tuple[int, ...]:
    """Which landmarks pair `index` drags if it drags 1, 3 or all 7."""
    offsets = {1: (0,), 3: TRIPLE}.get(count, tuple(range(len(LANDMARKS))))
    return tuple((index + offset) % len(LANDMARKS) for offset in offsets)


def task_of(pair: Pair, setting: str) -> Task:
    """What is dragged of a pair in a setting.

    Raises:
        ValueError: there is no such setting.
    """
    if setting not in SETTINGS:
        raise ValueError(f"the setting must be one of {', '.join(SETTINGS)}, not {setting!r}")
    if setting == "mask":
        return _masked_task(pair)
    returns = setting.startswith("back")
    landmarks = landmarks_of(pair.index, int(setting.removeprefix("back")))
    handles, targets = pair.points_px[:, list(landmarks)]
    return Task(setting, landmarks, handles, targets, returns=returns)


def _masked_task(pair: Pair) -> Task:
    """One landmark, a fixed way towards where B has it, and a mask around that way.

    If it is at nearly the same place in B, any direction will do; if that leaves the image, the
    way is towards the middle.
    """
    height, width = pair.images.shape[1:3]
    unit = width / REFERENCE_SIZE_PX
    landmarks = landmarks_of(pair.index, 1)
    handle, other = pair.points_px[:, landmarks[0]]
    way = other - handle
    distance = float(np.linalg.norm(way))
    if distance >= MASK_LEAST_PX * unit:
        direction = way / distance
    else:
        angle = pair.index * _GOLDEN_ANGLE_RAD
        direction = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)
    target = handle + MASK_SHIFT_PX * unit * direction
    if not ((target > 0).all() and (target < [width, height]).all()):
        direction = np.array([width / 2, height / 2]) - handle
        target = handle + MASK_SHIFT_PX * unit * direction / np.linalg.norm(direction)
    target = target.astype(np.float32)
    mask = mask_around(handle, target, MASK_RADIUS_PX * unit, (height, width))
    return Task("mask", landmarks, handle[None], target[None], mask)


def mask_around(
    start_px: FloatArray, end_px: FloatArray, radius_px: float, shape: tuple[int, int]
) -> ByteArray:
    """White where a pixel's centre is within a radius of a segment.

    Args:
        start_px, end_px: `2` float32 (x, y), image pixels, different from each other.
        shape: height and width.

    Returns:
        `H x W` uint8, 255 or 0.
    """
    distance = distance_to_way(start_px, end_px, shape)
    mask: ByteArray = ((distance <= radius_px) * 255).to(torch.uint8).numpy()
    return mask


def distance_to_way(start_px: FloatArray, end_px: FloatArray, shape: tuple[int, int]) -> Tensor:
    """How far each pixel's centre is from a segment; arguments as for `mask_around`.

    Returns:
        `H x W` float32, image pixels.
    """
    y, x = torch.meshgrid(torch.arange(shape[0]) + 0.5, torch.arange(shape[1]) + 0.5, indexing="ij")
    way_x, way_y = (float(value) for value in end_px - start_px)
    from_x, from_y = x - float(start_px[0]), y - float(start_px[1])
    along = ((from_x * way_x + from_y * way_y) / (way_x**2 + way_y**2)).clamp(0.0, 1.0)
    return torch.hypot(from_x - along * way_x, from_y - along * way_y)
