# SPDX-License-Identifier: GPL-3.0-or-later
"""The poses of a frame's pairs as points, so that what is done with points is done with regions.

The pose of a region is its place and ``z``, how it is turned and scaled (see ``solving.regions``).
``z`` times the radius is where a point of the rim is, relative to the handle. Two poses are as far
apart as their places or these points are, whichever are farther, and between poses that are not far
apart, both can be combined linearly.
"""

from __future__ import annotations

import numpy as np

from ..arrays import FloatArray


def joined(handles_px: FloatArray, turns: FloatArray, radii_px: FloatArray) -> FloatArray:
    """Return poses as points: the handles, and then the points of the rims.

    Args:
        handles_px: ``... x P x 2`` float32, image pixels.
        turns: ``... x P x 2`` float32, ``z`` of each pair; not used if there are no regions.
        radii_px: ``P`` float32, image pixels, 0 for a plain handle; empty if there are no regions.

    Returns:
        ``... x 2 P x 2`` float32, image pixels; the handles alone if there are no regions.
    """
    if not len(radii_px):
        return handles_px
    points: FloatArray = np.concatenate([handles_px, radii_px[:, None] * turns], axis=-2)
    return points


def split(points_px: FloatArray, radii_px: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the handles and ``z`` of points; the reverse of ``joined``."""
    if not len(radii_px):
        return points_px, points_px[..., :0, :]
    handles_px, rims_px = np.split(points_px, 2, axis=-2)
    is_region = (radii_px > 0)[:, None]
    turns = np.where(is_region, rims_px / np.where(is_region, radii_px[:, None], 1), (1.0, 0.0))
    return handles_px, turns.astype(np.float32)
