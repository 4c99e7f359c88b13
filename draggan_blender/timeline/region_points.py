# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs as points, so that the poses of regions can be compared as places are: no bpy.

A region adds the point of its rim that was right of the handle in the image of the latent, relative
to the handle. Two poses are as far apart as their places or these points are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .memory import Points

# The least scale of a region: what has vanished can still be scaled up again.
_LEAST_SCALE = 1e-3


def joined(places_px: ArrayLike, turns: ArrayLike, radii_px: Sequence[float]) -> Points:
    """Return the points of pairs: their places, and then those of the rims.

    Args:
        places_px: ``P x 2`` px.
        turns: ``P x 2``, the angle, counter-clockwise in the image, and the scale of each pair; not
            used if there are no regions.
        radii_px: ``P`` px, 0 for a point; empty if there are no regions.

    Returns:
        ``2 P x 2`` px; the places alone if there are no regions.
    """
    places = np.asarray(places_px, dtype=np.float32)
    if not radii_px:
        return places
    angles, scales = np.asarray(turns, dtype=np.float64).T
    sizes = np.asarray(radii_px) * scales
    rims = np.column_stack((sizes * np.cos(angles), -sizes * np.sin(angles)))
    return np.vstack((places, rims)).astype(np.float32)


def places_of(points_px: Points, radii_px: Sequence[float]) -> Points:
    """Return the places of pairs, ``P x 2`` px, from their points."""
    return points_px[: len(radii_px)] if radii_px else points_px


def turns_of(points_px: Points, radii_px: Sequence[float]) -> Points:
    """Return the angles and scales of pairs, ``P x 2``, from their points; 0 and 1 for a point."""
    radii = np.asarray(radii_px, dtype=np.float32)
    rims = points_px[len(points_px) - len(radii) :]
    is_region = radii > 0.0
    angles = np.where(is_region, np.arctan2(-rims[:, 1], rims[:, 0]), 0.0)
    scales = np.where(is_region, np.hypot(*rims.T) / np.where(is_region, radii, 1.0), 1.0)
    scales = np.maximum(scales, _LEAST_SCALE)
    return np.column_stack((angles, scales)).astype(np.float32)
