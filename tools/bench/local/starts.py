# SPDX-License-Identifier: GPL-3.0-or-later
"""The latents that drags begin with, in models whose W is made of factors and in others.

Where latents can be made from factors, a drag begins with the picture that Blender has rendered. A
model that was trained without factors has no such latent: there, a drag begins with the picture of
a seed whose landmarks are most like those of the render, and its points, mask and part are taken
over by the affine map between the landmarks. Such a drag has no truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.arrays import ByteArray, FloatArray
from engine.models import sample_latent
from engine.output.render import render_image
from stylegan2 import Generator
from tools.suzanne.factors import FACTORS
from tools.suzanne.latents import COARSE_LATENTS
from tools.suzanne.truth import Truth, truth_of

from ..landmarks import LANDMARKS, Detector
from ..pairs import BORDER_PX, REFERENCE_SIZE_PX, all_in_sight
from .drags import TRUNCATION, LocalDrag

_POSE = [FACTORS.index(name) for name in ("yaw", "pitch", "roll")]
# The seeds among which a model without factors looks for the start of a drag.
_FIRST_SEED, _SEEDS = 500_000, 256


@dataclass(frozen=True)
class Start:
    """Where a drag begins.

    Attributes:
        drag: The drag in the model's size and, for a model without factors, on its picture.
        latent: ``num_ws x w_dim`` float32.
        image: ``H x W x 3`` uint8, its picture.
    """

    drag: LocalDrag
    latent: FloatArray
    image: ByteArray


class Starts(Protocol):
    """Finds the starts of drags."""

    def start(self, drag: LocalDrag) -> Start:
        """Return where a drag of ``SIZE_PX`` begins."""

    def pose_change(self, before: FloatArray, after: FloatArray) -> float | None:
        """Return |yaw| + |pitch| + |roll| of the change between two latents.

        Args:
            before: ``num_ws x w_dim`` float32.
            after: The same.

        Returns:
            Each factor counts from -1 to 1; None if they cannot be read from a latent.
        """


def starts_of(generator: Generator, detector: Detector) -> Starts:
    """Return the starts of a model's drags."""
    factors = truth_of(generator)
    if factors is None:
        return SeedStarts(generator, detector)
    return FactorStarts(generator, factors)


class FactorStarts:
    """The starts of a model whose latents can be made from factors."""

    def __init__(self, generator: Generator, factors: Truth) -> None:
        self._generator = generator
        self._factors = factors

    def start(self, drag: LocalDrag) -> Start:
        """Return where a drag begins: with the picture that was rendered."""
        values = torch.from_numpy(drag.factors)[None]
        latent: FloatArray = self._factors.latents(values)[0].contiguous().numpy()
        scaled = drag.scaled(self._generator.img_shape[1])
        return Start(scaled, latent, render_image(self._generator, latent))

    def pose_change(self, before: FloatArray, after: FloatArray) -> float | None:
        """Return the change of the pose, of the mean over the layers that a drag may change."""
        ends = [torch.from_numpy(latent[:COARSE_LATENTS]) for latent in (before, after)]
        old, new = (self._factors.factors(latent).mean(dim=0)[_POSE] for latent in ends)
        return float((new - old).abs().sum())


class SeedStarts:
    """The starts of a model whose latents cannot be made from factors."""

    def __init__(self, generator: Generator, detector: Detector) -> None:
        """Look for pictures of seeds that show all landmarks.

        Raises:
            ValueError: No picture shows all of them.
        """
        seeds = range(_FIRST_SEED, _FIRST_SEED + _SEEDS)
        latents = [sample_latent(generator, seed, TRUNCATION) for seed in seeds]
        images = np.stack([render_image(generator, latent) for latent in latents])
        found = detector.detect(images)
        fit = np.flatnonzero(all_in_sight(found, images.shape[1]))
        if not len(fit):
            raise ValueError("the detector sees all landmarks in no picture of this model")
        self._latents = [latents[number] for number in fit]
        self._images = images[fit]
        self._points_px = found.points_px[fit]

    def start(self, drag: LocalDrag) -> Start:
        """Return where a drag begins: with the picture whose landmarks fit best."""
        scaled = drag.scaled(self._images.shape[1])
        maps = [affine_map(scaled.face_px, points) for points in self._points_px]
        best = int(np.argmin([error for _, error in maps]))
        moved = mapped(scaled, maps[best][0], self._points_px[best])
        return Start(moved, self._latents[best], self._images[best])

    def pose_change(self, before: FloatArray, after: FloatArray) -> float | None:
        """Return None: the pose cannot be read from a latent."""
        return None


def affine_map(before_px: FloatArray, after_px: FloatArray) -> tuple[NDArray[np.float64], float]:
    """Return the affine map between points by least squares, and how well it fits.

    Args:
        before_px: ``L x 2`` float32 (x, y).
        after_px: The same points after it.

    Returns:
        ``A``, ``3 x 2`` float64, with ``after = (x, y, 1) A``, and the root mean square of the
        distances that remain.
    """
    design = np.concatenate([before_px, np.ones((len(before_px), 1))], axis=1).astype(np.float64)
    solution, *_ = np.linalg.lstsq(design, after_px.astype(np.float64), rcond=None)
    gaps = design @ solution - after_px
    return solution, float(np.sqrt((gaps**2).sum(axis=1).mean()))


def mapped(drag: LocalDrag, matrix: NDArray[np.float64], face_px: FloatArray) -> LocalDrag:
    """Return a drag on another picture.

    Args:
        drag: The drag.
        matrix: From its pixels to those of the other picture, as ``affine_map`` returns it.
        face_px: ``L x 2`` float32, the landmarks in the other picture. Handles on landmarks are
            put exactly there.
    """
    size = drag.size_px
    border = BORDER_PX * size / REFERENCE_SIZE_PX
    handles = _through(drag.handles_px, matrix)
    pulls = (drag.targets_px - drag.handles_px) @ matrix[:2]
    for number, name in enumerate(drag.landmarks):
        if name is not None:
            handles[number] = face_px[LANDMARKS.index(name)]
    handles = np.clip(handles, border, size - border)
    return replace(
        drag,
        handles_px=handles.astype(np.float32),
        targets_px=(handles + pulls).astype(np.float32),
        face_px=face_px,
        mask=_warped(drag.mask, matrix),
        truth=None,
        part=_warped((drag.part * 255).astype(np.uint8), matrix) > 0,
    )


def _through(points_px: FloatArray, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    through: NDArray[np.float64] = points_px @ matrix[:2] + matrix[2]
    return through


def _warped(values: ByteArray, matrix: NDArray[np.float64]) -> ByteArray:
    """Return a picture ``H x W`` of 0 and 255 after the map."""
    back = np.linalg.inv(np.concatenate([matrix, [[0.0], [0.0], [1.0]]], axis=1))
    coefficients = (*back[:, 0], *back[:, 1])
    image = Image.fromarray(values)
    warped = image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.NEAREST
    )
    return np.asarray(warped)
