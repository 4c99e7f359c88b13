# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures of a local drag: what moved, what stayed, and what the picture looks like.

All distances are in pixels of an image of 128 px. Differences of images are on the scale 0 to 255.
Everything is measured in the picture that a method shows, except for the pose, which is read from
the latent.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import ByteArray, FloatArray

from ..landmarks import LANDMARKS, Detection
from ..measures import ARRIVED_PX, image_change
from ..pairs import REFERENCE_SIZE_PX
from .drags import BoolArray, LocalDrag
from .matching import found_px

# A pixel that changed by more than this in a channel counts as changed.
VISIBLE_CHANGE = 8


def measure_change(
    drag: LocalDrag, before: ByteArray, after: ByteArray, *, masked: bool
) -> dict[str, float]:
    """Return how much changed where nothing should, and how like the truth the part is.

    Args:
        drag: The drag.
        before: ``H x W x 3`` uint8, the picture at the start.
        after: The same at the end.
        masked: Whether the drag was made with its mask.

    Returns:
        ``outside``: mean change outside the mask, or outside the part without a mask; ``visible``:
        the share of pixels there that changed by more than ``VISIBLE_CHANGE``; ``beside``: the mean
        change outside the part in either case; and, where there is a truth, ``unlike``: the mean
        difference from the truth inside the part.
    """
    may_change = drag.mask > 0 if masked else drag.part
    measures = {
        "outside": image_change(before, after, ~may_change),
        "visible": share_changed(before, after, ~may_change),
        "beside": image_change(before, after, ~drag.part),
    }
    if drag.truth is not None:
        measures["unlike"] = image_change(drag.truth, after, drag.part)
    return measures


def share_changed(before: ByteArray, after: ByteArray, where: BoolArray) -> float:
    """Return the share of pixels, of those that count, with a visible change in any channel."""
    change = np.abs(after.astype(np.int16) - before).max(axis=2)[where]
    return float((change > VISIBLE_CHANGE).mean()) if change.size else 0.0


def measure_places(
    drag: LocalDrag,
    before: ByteArray,
    after: ByteArray,
    detection: Detection,
    tracked_px: FloatArray | None,
) -> dict[str, float]:
    """Return how far the points are from their targets, by three opinions.

    Args:
        drag: The drag.
        before: ``H x W x 3`` uint8, the picture at the start.
        after: The same at the end.
        detection: The detector's output for the end, ``N`` = 1.
        tracked_px: ``P x 2`` float32, where the method itself believes the points to be, image
            pixels; None if it does not say.

    Returns:
        ``tracked``: 1 if the method's own places of all pulled points are within ``ARRIVED_PX`` of
        their targets, else 0. By what is seen in the picture (the detector for points on
        landmarks, otherwise where the content of the truth is found again), for the points of which
        something can be seen:
        ``off``: the mean distance of the pulled points from their targets; ``arrived``: 1 if all of
        them are within ``ARRIVED_PX``, else 0; and ``pins``: the mean distance of the pins.
    """
    measures = {}
    unit = after.shape[1] / REFERENCE_SIZE_PX
    pulled = slice(0, drag.pulled)
    if tracked_px is not None:
        gaps = np.linalg.norm(tracked_px[pulled] - drag.targets_px[pulled], axis=1) / unit
        measures["tracked"] = float((gaps <= ARRIVED_PX).all())
    distances = seen_distances(drag, before, after, detection)
    off, pins = (part[np.isfinite(part)] for part in np.split(distances, [drag.pulled]))
    if len(off):
        measures["off"] = float(off.mean())
        measures["arrived"] = float((off <= ARRIVED_PX).all())
    if len(pins):
        measures["pins"] = float(pins.mean())
    return measures


def seen_distances(
    drag: LocalDrag, before: ByteArray, after: ByteArray, detection: Detection
) -> FloatArray:
    """Return for each point how far its content is from its target.

    Args:
        drag: The drag.
        before: ``H x W x 3`` uint8, the picture at the start.
        after: The same at the end.
        detection: The detector's output for the end, ``N`` = 1.

    Returns:
        ``P`` float32, px of 128; NaN for a target outside the image, and for a point that is not on
        a landmark if there is no truth, or if what the truth shows at its target is there at the
        start already (an eye that is turned looks nearly the same).
    """
    unit = after.shape[1] / REFERENCE_SIZE_PX
    distances = []
    for name, handle, target in zip(drag.landmarks, drag.handles_px, drag.targets_px, strict=True):
        if not ((target > 0) & (target < after.shape[1])).all():
            gap = np.nan
        elif name is not None:
            found = detection.points_px[0, LANDMARKS.index(name)]
            gap = float(np.linalg.norm(found - target))
        elif drag.truth is None:
            gap = np.nan
        else:
            pull = float(np.linalg.norm(target - handle))
            gap = found_px(drag.truth, after, target, pull)
            if pull and found_px(drag.truth, before, target, pull) <= ARRIVED_PX * unit:
                gap = np.nan
        distances.append(float(gap) / unit)
    return np.array(distances, dtype=np.float32)
