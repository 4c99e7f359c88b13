# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured of a drag: by the detector on the image, by the statistics of W on the latent.

All distances are in pixels of an image of 128 px, whatever size the model has, so that figures of
different models compare.  Differences of images are means over pixels and channels, on the scale
0 to 255.
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

ARRIVED_PX = 2.0
"""A drag has truly arrived if the detector finds each landmark this near to its target."""
EDITED_LATENTS = 6
"""The latents whose distance from W is measured: those that the paper lets change."""
W_SAMPLES = 20_000
LEAST_DEVIATION = 0.05
"""Standard deviations below this share of the largest count as this share, so that a step into a
direction that W does not use counts as far, and not as infinitely far."""
BORDER_PX = 3
"""Width, in pixels of 128, of the image's border whose change is measured: background only."""


class LatentStatistics:
    """Mean and principal axes of W, to say how far from it a latent is."""

    def __init__(self, samples: Tensor) -> None:
        """Take samples of W, `N x w_dim` float32."""
        self._mean = samples.mean(dim=0)
        variances, axes = torch.linalg.eigh(torch.cov(samples.t()).double())
        deviations = variances.clamp(min=0.0).sqrt()
        deviations = deviations.clamp(min=LEAST_DEVIATION * float(deviations.max()))
        self._whiten = (axes / deviations).float()

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Generator) -> LatentStatistics:
        """Sample a generator's mapping, without truncation, always alike."""
        random = torch.Generator().manual_seed(0)
        z = torch.randn(W_SAMPLES, generator.z_dim, generator=random)
        return cls(generator.mapping(z)[:, 0])

    def distance(self, latent: FloatArray) -> float:
        """Mahalanobis distance from the mean of W, root mean square over the first latents.

        Args:
            latent: `num_ws x w_dim` float32.
        """
        first = torch.from_numpy(latent[:EDITED_LATENTS]) - self._mean
        return float((first @ self._whiten).square().sum(dim=1).mean().sqrt())


@dataclass(frozen=True)
class Judged:
    """One image after a drag, as the detector sees it.

    Attributes:
        image: `H x W x 3` uint8.
        detection: of this one image.
    """

    image: ByteArray
    detection: Detection

    @property
    def unit(self) -> float:
        """How many of the image's pixels make one of 128."""
        return self.image.shape[1] / REFERENCE_SIZE_PX

    def distances_px(self, landmarks: tuple[int, ...], wanted_px: FloatArray) -> FloatArray:
        """How far landmarks are from where they are wanted: `P` float32, px at 128.

        Args:
            wanted_px: `P x 2` float32, image pixels.
        """
        found = self.detection.points_px[0, list(landmarks)]
        distances: FloatArray = np.linalg.norm(found - wanted_px, axis=1) / self.unit
        return distances


def measure_drag(task: Task, pair: Pair, after: Judged, twin: Judged) -> dict[str, float]:
    """Measures of a drag from A towards B.

    Args:
        after: the result.
        twin: the image of the same pose and shape in A's colours and light, as it should be.

    Returns:
        `md`: mean distance of the dragged landmarks to their targets; `arrived`: 1 if all of them
        are within `ARRIVED_PX`, else 0; `uncertainty`: the error that the detector expects, mean
        over all landmarks;
        `colours`, `fur`, `eye`, `background`: root mean square of the colour factors minus those
        of the twin; `strange`: difference of the image from the twin;
        `border`: change of the image's border; with a mask `outside`: change where it is black.
    """
    distances = after.distances_px(task.landmarks, task.targets_px)
    before = pair.images[0]
    measures = {
        "md": float(distances.mean()),
        "arrived": float((distances <= ARRIVED_PX).all()),
        "uncertainty": float(after.detection.error_px.mean()) / after.unit,
        **measure_likeness(after, twin),
        "border": image_change(before, after.image, border_of(before.shape[:2])),
    }
    if task.mask is not None:
        measures["outside"] = image_change(before, after.image, task.mask == 0)
    return measures


def measure_return(task: Task, pair: Pair, after: Judged, twin: Judged) -> dict[str, float]:
    """Measures of a drag there and back.

    Returns:
        `md`: mean distance of the dragged landmarks to where they began; `arrived`, `uncertainty`,
        `colours`, … as in `measure_drag`; `change`: of the whole image.
    """
    distances = after.distances_px(task.landmarks, task.handles_px)
    return {
        "md": float(distances.mean()),
        "arrived": float((distances <= ARRIVED_PX).all()),
        "uncertainty": float(after.detection.error_px.mean()) / after.unit,
        **measure_likeness(after, twin),
        "change": image_change(pair.images[0], after.image),
    }


def measure_likeness(after: Judged, twin: Judged) -> dict[str, float]:
    """How far an image is from its twin: see `measure_drag`.

    The detector's estimates of colours depend a little on the pose.  The twin has the same pose, so
    that only what the drag itself has done to the colours is left.
    """
    return {
        **colour_errors(after.detection.colours[0], twin.detection.colours[0]),
        "strange": image_change(twin.image, after.image),
    }


def colour_errors(found: FloatArray, wanted: FloatArray) -> dict[str, float]:
    """Root mean square error of the colours `6` float32: of all, and of each part's two."""
    change = (found - wanted).astype(np.float64)
    errors = {"colours": float(np.sqrt(np.mean(change**2)))}
    for part, pair in zip(("fur", "eye", "background"), change.reshape(3, 2), strict=True):
        errors[part] = float(np.sqrt(np.mean(pair**2)))
    return errors


def border_of(shape: tuple[int, ...]) -> BoolArray:
    """The image's border, `H x W` bool, `BORDER_PX` px of 128 wide and at least one pixel."""
    width = max(1, round(BORDER_PX * shape[1] / REFERENCE_SIZE_PX))
    border: BoolArray = np.ones(shape, dtype=np.bool_)
    border[width:-width, width:-width] = False
    return border


def image_change(before: ByteArray, after: ByteArray, where: BoolArray | None = None) -> float:
    """Mean absolute difference of two images, 0 to 255.

    Args:
        before, after: `H x W x 3` uint8.
        where: `H x W` bool, the pixels that count; None for all.  No pixel at all gives 0.
    """
    change = np.abs(after.astype(np.float64) - before)
    if where is not None:
        change = change[where]
    return float(change.mean()) if change.size else 0.0
