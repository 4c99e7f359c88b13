# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures of a drag: of the image, by the detector, and of the latent, by statistics of W.

All distances are in pixels of an image of 128 px, whatever size the model has, so that figures of
different models are comparable. Differences of images are means over pixels and channels, on the
scale 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.arrays import ByteArray, FloatArray
from stylegan2 import Generator

from .landmarks import Detection
from .pairs import REFERENCE_SIZE_PX, BoolArray, Pair, Task

# A drag has arrived if the detector finds each landmark within this distance of its target.
ARRIVED_PX = 2.0
# The number of latents whose distance from W is measured: those that the paper lets change.
EDITED_LATENTS = 6
W_SAMPLES = 20_000
# Standard deviations below this share of the largest one are raised to it. A step in a direction
# that W does not use then counts as far instead of infinitely far.
LEAST_DEVIATION = 0.05
# Width, in pixels of 128, of the image border whose change is measured; it shows only background.
BORDER_PX = 3


class LatentStatistics:
    """Mean and principal axes of W, for the distance of a latent from W."""

    def __init__(self, samples: Tensor) -> None:
        """Compute them from samples of W, ``N x w_dim`` float32."""
        self._mean = samples.mean(dim=0)
        variances, axes = torch.linalg.eigh(torch.cov(samples.t()).double())
        deviations = variances.clamp(min=0.0).sqrt()
        deviations = deviations.clamp(min=LEAST_DEVIATION * float(deviations.max()))
        self._whiten = (axes / deviations).float()

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Generator) -> LatentStatistics:
        """Return the statistics of a generator's mapping without truncation, with a fixed seed."""
        random = torch.Generator().manual_seed(0)
        z = torch.randn(W_SAMPLES, generator.z_dim, generator=random)
        return cls(generator.mapping(z)[:, 0])

    def distance(self, latent: FloatArray) -> float:
        """Return the Mahalanobis distance of a latent from the mean of W, at least 0.

        Args:
            latent: ``num_ws x w_dim`` float32.

        Returns:
            The root mean square over the first ``EDITED_LATENTS`` rows.
        """
        first = torch.from_numpy(latent[:EDITED_LATENTS]) - self._mean
        return float((first @ self._whiten).square().sum(dim=1).mean().sqrt())


@dataclass(frozen=True)
class Judged:
    """One image after a drag, with the detector's output.

    Attributes:
        image: ``H x W x 3`` uint8.
        detection: The detector's output for this image, ``N`` = 1.
    """

    image: ByteArray
    detection: Detection

    @property
    def unit(self) -> float:
        """Width of the image divided by 128."""
        return self.image.shape[1] / REFERENCE_SIZE_PX

    def distances_px(self, landmarks: tuple[int, ...], wanted_px: FloatArray) -> FloatArray:
        """Return the distances of landmarks from given positions.

        Args:
            landmarks: ``P`` indices into ``LANDMARKS``.
            wanted_px: ``P x 2`` float32, image pixels.

        Returns:
            ``P`` float32, pixels of 128.
        """
        found = self.detection.points_px[0, list(landmarks)]
        distances: FloatArray = np.linalg.norm(found - wanted_px, axis=1) / self.unit
        return distances


def measure_drag(task: Task, pair: Pair, after: Judged, twin: Judged | None) -> dict[str, float]:
    """Return the measures of a drag from A towards B.

    Args:
        task: What was dragged.
        pair: Images A and B.
        after: The result.
        twin: The ideal result: the image with the same pose and shape, and A's colours and light;
            None if the model has no map from factors to latents.

    Returns:
        ``md``: mean distance of the dragged landmarks from their targets; ``arrived``: 1 if all of
        them are within ``ARRIVED_PX``, otherwise 0; ``uncertainty``: the error that the detector
        expects, mean over all landmarks; with a twin, ``colours``, ``fur``, ``eye``,
        ``background``: root mean square of the colour factors minus those of the twin, and
        ``strange``: difference between the image and the twin; ``border``: change of the image's
        border; and, with a mask, ``outside``: change where the mask is black.
    """
    distances = after.distances_px(task.landmarks, task.targets_px)
    before = pair.images[0]
    measures = {
        "md": float(distances.mean()),
        "arrived": float((distances <= ARRIVED_PX).all()),
        "uncertainty": float(after.detection.error_px.mean()) / after.unit,
        **(measure_likeness(after, twin) if twin else {}),
        "border": image_change(before, after.image, border_of(before.shape[:2])),
    }
    if task.mask is not None:
        measures["outside"] = image_change(before, after.image, task.mask == 0)
    return measures


def measure_return(task: Task, pair: Pair, after: Judged, twin: Judged | None) -> dict[str, float]:
    """Return the measures of a drag there and back; arguments as for ``measure_drag``.

    Returns:
        ``md``: mean distance of the dragged landmarks from their start positions; ``arrived``,
        ``uncertainty`` and, with a twin, ``colours``, ``fur``, ``eye``, ``background``,
        ``strange``: as in ``measure_drag``; ``change``: change of the whole image.
    """
    distances = after.distances_px(task.landmarks, task.handles_px)
    return {
        "md": float(distances.mean()),
        "arrived": float((distances <= ARRIVED_PX).all()),
        "uncertainty": float(after.detection.error_px.mean()) / after.unit,
        **(measure_likeness(after, twin) if twin else {}),
        "change": image_change(pair.images[0], after.image),
    }


def measure_likeness(after: Judged, twin: Judged) -> dict[str, float]:
    """Return the measures that compare an image with its twin; see ``measure_drag``.

    The detector's estimates of colours depend a little on the pose. The twin has the same pose, so
    the difference shows only what the drag itself did to the colours.
    """
    return {
        **colour_errors(after.detection.colours[0], twin.detection.colours[0]),
        "strange": image_change(twin.image, after.image),
    }


def colour_errors(found: FloatArray, wanted: FloatArray) -> dict[str, float]:
    """Return the root mean square error of colours: of all six, and of the two of each part.

    Args:
        found: ``6`` float32, in the order of ``COLOURS``.
        wanted: The same.

    Returns:
        ``colours``, ``fur``, ``eye`` and ``background``.
    """
    change = (found - wanted).astype(np.float64)
    errors = {"colours": float(np.sqrt(np.mean(change**2)))}
    for part, pair in zip(("fur", "eye", "background"), change.reshape(3, 2), strict=True):
        errors[part] = float(np.sqrt(np.mean(pair**2)))
    return errors


def border_of(shape: tuple[int, ...]) -> BoolArray:
    """Return the border of an image: ``BORDER_PX`` pixels of 128 wide, at least one pixel.

    Args:
        shape: Height and width of the image.

    Returns:
        ``H x W`` bool, True on the border.
    """
    width = max(1, round(BORDER_PX * shape[1] / REFERENCE_SIZE_PX))
    border: BoolArray = np.ones(shape, dtype=np.bool_)
    border[width:-width, width:-width] = False
    return border


def image_change(before: ByteArray, after: ByteArray, where: BoolArray | None = None) -> float:
    """Return the mean absolute difference of two images, 0 to 255.

    Args:
        before: ``H x W x 3`` uint8.
        after: The same.
        where: ``H x W`` bool, the pixels that count; None for all. Without any pixel the result
            is 0.
    """
    change = np.abs(after.astype(np.float64) - before)
    if where is not None:
        change = change[where]
    return float(change.mean()) if change.size else 0.0
