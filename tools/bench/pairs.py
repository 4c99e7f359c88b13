# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of the benchmark: pairs of seeds in two disjoint lists, and what to drag in each pair.

The list ``choosing`` is for trying methods and settings. The list ``test`` is for the published
figures; nothing is ever chosen with it. The protocol is the paper's (Pan et al., "Drag Your GAN",
section 4.2, "Face landmark manipulation"): landmarks of image A are dragged to their positions in
image B, both from random seeds.

Each pair has two consecutive seeds. It is used only if the detector sees all landmarks in both
images, is certain of their positions, and finds them inside the image: no method can drag a
landmark that is not visible.
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

# The first seed of each list; a list has at most ``LONGEST_LIST`` seeds, so the lists are disjoint.
FIRST_SEEDS = {"choosing": 100_000, "test": 200_000}
TRUNCATION_PSI = 0.7
# The lengths below, and all distances in results, are pixels of an image of this size.
REFERENCE_SIZE_PX = 128
# What the detector must find for each landmark: an expected error below the first, a probability of
# being visible above the second, and a distance from the image's edge above the third.
LARGEST_ERROR_PX = 2.0
LEAST_VISIBLE = 0.5
BORDER_PX = 3.0

LONGEST_LIST = 50_000
_AT_ONCE = 32

# Pair i drags the landmarks i, i + 1 and i + 3 (mod 7). This is a perfect difference set: in seven
# pairs each landmark is used three times, and each two landmarks are used together exactly once.
TRIPLE = (0, 1, 3)

# The length of a masked drag; the distance between the landmark's positions in A and B below which
# its direction is not used; and the distance from the drag's line up to which the mask is white.
MASK_SHIFT_PX = 8.0
MASK_LEAST_PX = 3.0
MASK_RADIUS_PX = 22.0
_GOLDEN_ANGLE_RAD = math.pi * (3.0 - math.sqrt(5.0))

# The landmarks to drag: one, three or all; one with a mask; one or three there and back.
SETTINGS = ("1", "3", "7", "mask", "back1", "back3")


@dataclass(frozen=True)
class Pair:
    """Two images, A and B.

    Attributes:
        index: Number of the pair in its list, from 0.
        seeds: The seeds of A and B.
        latents: ``2 x num_ws x w_dim`` float32, of A and B.
        images: ``2 x H x W x 3`` uint8.
        points_px: ``2 x L x 2`` float32 (x, y), image pixels: the landmarks that the detector
            found.
    """

    index: int
    seeds: tuple[int, int]
    latents: FloatArray
    images: ByteArray
    points_px: FloatArray


@dataclass(frozen=True)
class Task:
    """One drag to measure.

    Attributes:
        setting: One of ``SETTINGS``.
        landmarks: The dragged landmarks, ``P`` indices into ``LANDMARKS``.
        handles_px: ``P x 2`` float32 (x, y), image pixels.
        targets_px: The same.
        mask: ``H x W`` uint8, 255 = may change; None without a mask.
        returns: Whether the points are dragged back afterwards.
    """

    setting: str
    landmarks: tuple[int, ...]
    handles_px: FloatArray
    targets_px: FloatArray
    mask: ByteArray | None = None
    returns: bool = False


def find_pairs(generator: Generator, detector: Detector, name: str, count: int) -> list[Pair]:
    """Return the first pairs of a list.

    Args:
        generator: Makes the images.
        detector: Decides which pairs are used.
        name: A key of ``FIRST_SEEDS``.
        count: Number of pairs.

    Raises:
        ValueError: Too few pairs of the generator show all landmarks.
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
    """Return for each of N images whether all landmarks are visible, certain and inside.

    Args:
        found: The detector's output for the images.
        size_px: Width and height of the images.

    Returns:
        ``N`` bool.
    """
    unit = size_px / REFERENCE_SIZE_PX
    low, high = BORDER_PX * unit, size_px - BORDER_PX * unit
    inside = ((found.points_px > low) & (found.points_px < high)).all(axis=2)
    sure = (found.error_px < LARGEST_ERROR_PX * unit) & (found.visible > LEAST_VISIBLE)
    fit: BoolArray = (inside & sure).all(axis=1)
    return fit


def landmarks_of(index: int, count: int) -> tuple[int, ...]:
    """Return the landmarks that pair ``index`` drags if it drags 1, 3 or all 7."""
    offsets = {1: (0,), 3: TRIPLE}.get(count, tuple(range(len(LANDMARKS))))
    return tuple((index + offset) % len(LANDMARKS) for offset in offsets)


def task_of(pair: Pair, setting: str) -> Task:
    """Return the drag of a pair in a setting.

    Raises:
        ValueError: The setting does not exist.
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
    """Return a drag of one landmark by a fixed distance towards B, with a mask around its line.

    If the landmark has nearly the same position in B, a direction is derived from the pair's
    number. If the target is outside the image, the drag goes towards the middle of the image.
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
    """Return a mask that is white where a pixel's centre is within a radius of a segment.

    Args:
        start_px: ``2`` float32 (x, y), image pixels: the start of the segment.
        end_px: The same: its end, which must differ from its start.
        radius_px: Image pixels.
        shape: Height and width of the image.

    Returns:
        ``H x W`` uint8, 255 or 0.
    """
    distance = distance_to_way(start_px, end_px, shape)
    mask: ByteArray = ((distance <= radius_px) * 255).to(torch.uint8).numpy()
    return mask


def distance_to_way(start_px: FloatArray, end_px: FloatArray, shape: tuple[int, int]) -> Tensor:
    """Return the distance of each pixel's centre from a segment; arguments as for ``mask_around``.

    Returns:
        ``H x W`` float32, image pixels.
    """
    y, x = torch.meshgrid(torch.arange(shape[0]) + 0.5, torch.arange(shape[1]) + 0.5, indexing="ij")
    way_x, way_y = (float(value) for value in end_px - start_px)
    from_x, from_y = x - float(start_px[0]), y - float(start_px[1])
    along = ((from_x * way_x + from_y * way_y) / (way_x**2 + way_y**2)).clamp(0.0, 1.0)
    return torch.hypot(from_x - along * way_x, from_y - along * way_y)
