# SPDX-License-Identifier: GPL-3.0-or-later
"""The three spaces of a point, and every conversion between them.

- *local*: the plane object's own ``(x, y)``; z does not matter.
- *uv*: the plane's texture coordinates, origin bottom-left; the image is ``[0, 1] x [0, 1]``.
- *px*: image pixels at the generator's resolution, origin top-left, y down, pixel centres at
  half-integers; the image is ``[0, W] x [0, H]``.

Local and uv differ by an affine map that is fitted to the mesh's own UVs, so that points stay
right on a plane that was scaled, cropped or rotated in Edit Mode. Pure numpy, no bpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]

# How far outside the image a point still counts as inside, as a part of the image's side. Points
# are often snapped to the border, and Blender's transforms are float32.
_BORDER_TOLERANCE = 1e-4
# The largest error of a fit, as a part of the extent of the UVs. If it is larger, the UVs are not
# flat.
_FIT_TOLERANCE = 1e-3


class ViewError(ValueError):
    """Raised if the UVs of a mesh do not map a flat image."""


def _rows(points: ArrayLike) -> Points:
    rows = np.asarray(points, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"points must have shape N x 2, not {rows.shape}")
    return rows


def fit_local_to_uv(local: ArrayLike, uv: ArrayLike) -> Points:
    """Return the affine map from local coordinates to texture coordinates, by least squares.

    Args:
        local: ``N x 2`` corner positions, one per loop of the mesh.
        uv: ``N x 2`` texture coordinates of the same loops.

    Returns:
        ``3 x 2`` float64: ``uv = [x, y, 1] @ map``.

    Raises:
        ViewError: A coordinate is not finite, corners or UVs are on a line, or no affine map
            describes the UVs.
        ValueError: An array has another shape.
    """
    corners, texture = _rows(local), _rows(uv)
    if not (np.isfinite(corners).all() and np.isfinite(texture).all()):
        raise ViewError(
            "The plane or its UVs have coordinates that are not numbers; unwrap the plane flat, or "
            "make a new GAN image"
        )
    rows = np.column_stack((corners, np.ones(len(corners))))
    local_to_uv, _, rank, _ = np.linalg.lstsq(rows, texture, rcond=None)
    if rank < 3 or abs(np.linalg.det(local_to_uv[:2])) < 1e-12:
        raise ViewError(
            "The plane or its UVs have no area; unwrap the plane flat, or make a new GAN image"
        )
    spread = max(float(np.ptp(texture, axis=0).max()), 1e-12)
    if float(np.abs(rows @ local_to_uv - texture).max()) > _FIT_TOLERANCE * spread:
        raise ViewError(
            "The plane's UVs are not flat; unwrap the plane flat, or make a new GAN image"
        )
    return np.asarray(local_to_uv, dtype=np.float64)


def local_to_uv(local_to_uv_map: Points, local: ArrayLike) -> Points:
    """Convert ``N x 2`` local to ``N x 2`` uv, with a map of ``fit_local_to_uv``."""
    return np.asarray(_rows(local) @ local_to_uv_map[:2] + local_to_uv_map[2])


def uv_to_local(local_to_uv_map: Points, uv: ArrayLike) -> Points:
    """Convert ``N x 2`` uv to ``N x 2`` local: the inverse of ``local_to_uv``."""
    offset = _rows(uv) - local_to_uv_map[2]
    return np.asarray(np.linalg.solve(local_to_uv_map[:2].T, offset.T).T)


def uv_to_px(uv: ArrayLike, width: int, height: int) -> Points:
    """Convert ``N x 2`` uv to ``N x 2`` px of an image of ``width x height`` pixels."""
    return np.asarray((np.array([0.0, 1.0]) - _rows(uv) * [-1.0, 1.0]) * [width, height])


def px_to_uv(px: ArrayLike, width: int, height: int) -> Points:
    """Convert ``N x 2`` px to ``N x 2`` uv: the inverse of ``uv_to_px``."""
    return np.asarray(np.array([0.0, 1.0]) + _rows(px) / [width, height] * [1.0, -1.0])


def inside(uv: ArrayLike) -> NDArray[np.bool_]:
    """Return for each of ``N x 2`` uv whether it is on the image, as ``N`` bool.

    The border is part of the image; NaN is outside.
    """
    return np.asarray(np.all(np.abs(_rows(uv) - 0.5) <= 0.5 + _BORDER_TOLERANCE, axis=1))


def px_per_unit(local_to_uv_map: Points, width: int, height: int) -> float:
    """Return how many px a unit of local space has: the geometric mean of all directions."""
    area = abs(float(np.linalg.det(local_to_uv_map[:2]))) * width * height
    return float(np.sqrt(area))


def turning_sign(local_to_uv_map: Points) -> int:
    """Return 1 if a counter-clockwise turn in local space is one in the image, otherwise -1."""
    return 1 if float(np.linalg.det(local_to_uv_map[:2])) > 0.0 else -1


def plane_size(width: int, height: int) -> tuple[float, float]:
    """Return the size of a plane that shows an image without distortion.

    Returns:
        Width and height in the plane's units; the longer side is 2.
    """
    longer = max(width, height)
    return 2.0 * width / longer, 2.0 * height / longer


def stretched(local_to_uv_map: Points, local: ArrayLike, size: tuple[float, float]) -> Points:
    """Return places stretched along the image's sides, so that the image has another aspect.

    The middle of the image, the directions of its sides and the length of the longer one stay.

    Args:
        local_to_uv_map: Of ``fit_local_to_uv``, before.
        local: ``N x 2`` places.
        size: The wanted width and height, of which only the ratio counts.

    Returns:
        ``N x 2`` places.
    """
    sides = np.linalg.inv(local_to_uv_map[:2])  # along u and v, in local space
    lengths = np.linalg.norm(sides, axis=1)
    wanted = np.asarray(size) * lengths.max() / max(size)
    (middle,) = uv_to_local(local_to_uv_map, [(0.5, 0.5)])
    uv = local_to_uv(local_to_uv_map, local)
    return np.asarray(middle + (uv - 0.5) * (wanted / lengths) @ sides)


def mask_bytes(pixels: ArrayLike, width: int, height: int) -> bytes:
    """Convert a painted mask to the engine's form, by nearest pixels at the generator's resolution.

    Args:
        pixels: ``h x w`` float in [0, 1], bottom row first as in Blender's images; white = may
            change.
        width: The width of the generator's images in pixels.
        height: Their height.

    Returns:
        ``height * width`` bytes, top row first, 255 = may change; empty if the whole mask is
        white, which means the same as no mask.

    Raises:
        ValueError: The mask has another shape, or no pixels.
    """
    painted = np.asarray(pixels, dtype=np.float32)
    if painted.ndim != 2 or 0 in painted.shape:
        raise ValueError(f"a mask must have shape H x W, not {painted.shape}")
    rows = ((np.arange(height) + 0.5) * painted.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * painted.shape[1] / width).astype(np.intp)
    sampled = painted[::-1][rows][:, columns]
    levels = np.rint(np.clip(sampled, 0.0, 1.0) * 255.0).astype(np.uint8)
    return b"" if bool((levels == 255).all()) else levels.tobytes()
