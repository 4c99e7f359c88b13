# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and files hand in, checked once and turned into tensors beside the generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from .arrays import ByteArray, FloatArray
from .errors import RequestError

_FULLY_FREE = 255


def device_of(generator: Generator) -> torch.device:
    """Where a generator's weights are, and its latents must be."""
    return next(generator.parameters()).device


def check_latent(generator: Generator, latent: FloatArray) -> Tensor:
    """A latent as a float32 tensor on the generator's device.

    Raises:
        RequestError: it has another shape, or is not finite.
    """
    expected = (generator.num_ws, generator.w_dim)
    values = np.array(latent, dtype=np.float32)
    if values.shape != expected:
        raise RequestError(
            f"this model needs a latent of {expected[0]} x {expected[1]} values, but the one given "
            f"is {' x '.join(str(size) for size in values.shape)}; it belongs to another model"
        )
    if not np.isfinite(values).all():
        raise RequestError("the latent holds values that are not finite; start from a new image")
    return torch.from_numpy(values).to(device_of(generator))


def check_points(
    generator: Generator, handles_px: FloatArray, targets_px: FloatArray
) -> tuple[Tensor, Tensor]:
    """Handles and targets as float32 tensors on the generator's device.

    Raises:
        RequestError: not as many targets as handles, none at all, or one outside the image.
    """
    handles, targets = (np.array(p, dtype=np.float32) for p in (handles_px, targets_px))
    if handles.ndim != 2 or handles.shape != targets.shape or handles.shape[1] != 2:
        raise RequestError(
            "handles and targets must be as many points (x, y) each, "
            f"but have the shapes {handles.shape} and {targets.shape}"
        )
    if not len(handles):
        raise RequestError("a drag needs at least one handle with a target")
    _, height, width = generator.img_shape
    for name, points in (("handle", handles), ("target", targets)):
        for number, (x, y) in enumerate(points, start=1):
            if not (0 <= x <= width and 0 <= y <= height):
                raise RequestError(
                    f"{name} {number} is at ({x:.1f}, {y:.1f}), outside the image of "
                    f"{width} x {height} px; move it onto the image"
                )
    device = device_of(generator)
    return torch.from_numpy(handles).to(device), torch.from_numpy(targets).to(device)


def check_mask(generator: Generator, mask: ByteArray | None) -> Tensor | None:
    """The fixed area `H x W` float32, 1 = stays, on the generator's device; None without one.

    Raises:
        RequestError: the mask has another size than the image.
    """
    if mask is None:
        return None
    _, height, width = generator.img_shape
    if mask.shape != (height, width) or mask.dtype != np.uint8:
        found = " x ".join(str(size) for size in reversed(mask.shape))
        raise RequestError(
            f"the mask must be {width} x {height} px of one byte each, as the image is, but it is "
            f"{found} of {mask.dtype}; make it again in that size"
        )
    free = torch.from_numpy(mask.astype(np.float32) / _FULLY_FREE)
    return (1 - free).to(device_of(generator))
