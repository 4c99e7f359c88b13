# SPDX-License-Identifier: GPL-3.0-or-later
"""The three spaces in which a point lives, and every conversion between them.

- *local*: a plane object's own ``(x, y)``; z does not matter.
- *uv*: the plane's texture space, origin bottom-left, the image is ``[0, 1] x [0, 1]``.
- *px*: image pixels of the generator's resolution, origin top-left, y down, pixel centres at
  half-integers, so that the image is ``[0, W] x [0, H]``.

Local and uv differ by an affine map that is fitted to the mesh's own UVs: a plane that a person
scaled, cropped or rotated in Edit Mode keeps its meaning. Pure numpy, no bpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]

#: Of the image's side: Blender's transforms are float32, and a border is a good place to snap to.
_BORDER_TOLERANCE = 1e-4
#: Of the largest spread of the UVs; a fit that is worse means that the plane is not flat any more.
_FIT_TOLERANCE = 1e-3


class ViewError(ValueError):
    """A mesh whose UVs do not map a flat image."""


def _rows(points: ArrayLike) -> Points:
    rows = np.asarray(points, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"points must have shape N x 2, not {rows.shape}")
    return rows


def fit_local_to_uv(local: ArrayLike, uv: ArrayLike) -> Points:
    """The affine map from local coordinates to texture coordinates, by least squares.

    Args:
        local: ``N x 2`` corner positions, one for each loop of the mesh.
        uv: ``N x 2`` texture coordinates of the same loops.

    Returns:
        ``3 x 2`` float64: ``uv = [x, y, 1] @ map``.

    Raises:
        ViewError: the corners lie on a line, or no affine map describes the UVs.
    """
    corners, texture = _rows(local), _rows(uv)
    rows = np.column_stack((corners, np.ones(len(corners))))
    local_to_uv, _, rank, _ = np.linalg.lstsq(rows, texture, rcond=None)
    if rank < 3 or abs(np.linalg.det(local_to_uv[:2])) < 1e-12:
        raise ViewError(
            "The plane has no area, or its UVs have none; unwrap it flat, or make it new"
        )
    spread = max(float(np.ptp(texture, axis=0).max()), 1e-12)
    if float(np.abs(rows @ local_to_uv - texture).max()) > _FIT_TOLERANCE * spread:
        raise ViewError("The plane's UVs are not flat any more; unwrap it flat, or make it new")
    return np.asarray(local_to_uv, dtype=np.float64)


def local_to_uv(local_to_uv_map: Points, local: ArrayLike) -> Points:
    """``N x 2`` local to ``N x 2`` uv, by a map of :func:`fit_local_to_uv`."""
    return np.asarray(_rows(local) @ local_to_uv_map[:2] + local_to_uv_map[2])


def uv_to_local(local_to_uv_map: Points, uv: ArrayLike) -> Points:
    """``N x 2`` uv to ``N x 2`` local: the inverse of :func:`local_to_uv`."""
    offset = _rows(uv) - local_to_uv_map[2]
    return np.asarray(np.linalg.solve(local_to_uv_map[:2].T, offset.T).T)


def uv_to_px(uv: ArrayLike, width: int, height: int) -> Points:
    """``N x 2`` uv to ``N x 2`` px of an image of ``width x height``."""
    return np.asarray((np.array([0.0, 1.0]) - _rows(uv) * [-1.0, 1.0]) * [width, height])


def px_to_uv(px: ArrayLike, width: int, height: int) -> Points:
    """``N x 2`` px to ``N x 2`` uv: the inverse of :func:`uv_to_px`."""
    return np.asarray(np.array([0.0, 1.0]) + _rows(px) / [width, height] * [1.0, -1.0])


def inside(uv: ArrayLike) -> NDArray[np.bool_]:
    """``N`` bool: whether each point lies on the image, its border included."""
    return np.asarray(np.all(np.abs(_rows(uv) - 0.5) <= 0.5 + _BORDER_TOLERANCE, axis=1))


def plane_size(width: int, height: int) -> tuple[float, float]:
    """The size of a plane that shows an image undistorted; its longer side is two units."""
    longer = max(width, height)
    return 2.0 * width / longer, 2.0 * height / longer


def mask_bytes(pixels: ArrayLike, width: int, height: int) -> bytes:
    """A painted mask as the engine takes it: nearest pixels at the generator's resolution.

    Args:
        pixels: ``h x w`` float in [0, 1], bottom row first as Blender keeps images; white = may
            change.
        width, height: the generator's resolution.

    Returns:
        ``height * width`` bytes, top row first, 255 = may change; empty where the mask is white
        all over, which means the same and costs nothing.
    """
    painted = np.asarray(pixels, dtype=np.float32)
    if painted.ndim != 2 or 0 in painted.shape:
        raise ValueError(f"a mask must have shape H x W, not {painted.shape}")
    rows = ((np.arange(height) + 0.5) * painted.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * painted.shape[1] / width).astype(np.intp)
    sampled = painted[::-1][rows][:, columns]
    levels = np.rint(np.clip(sampled, 0.0, 1.0) * 255.0).astype(np.uint8)
    return b"" if bool((levels == 255).all()) else levels.tobytes()
