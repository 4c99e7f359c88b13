# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates user input and converts it to tensors on the generator's device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from .arrays import ByteArray, FloatArray
from .errors import RequestError

# The mask value of a pixel that is free to change.
_FULLY_FREE = 255


def device_of(generator: Generator) -> torch.device:
    """Return the device of a generator's weights, on which its latents must be as well."""
    return next(generator.parameters()).device


def check_latent(generator: Generator, latent: FloatArray) -> Tensor:
    """Return a latent as a float32 tensor on the generator's device.

    Args:
        generator: The generator that the latent is for.
        latent: ``num_ws x w_dim`` float. It is copied.

    Returns:
        ``num_ws x w_dim`` float32.

    Raises:
        RequestError: The latent has another shape, or contains values that are not finite.
    """
    expected = (generator.num_ws, generator.w_dim)
    values = np.array(latent, dtype=np.float32)
    if values.shape != expected:
        raise RequestError(
            f"this model needs a latent of {expected[0]} x {expected[1]} values, but the one given "
            f"has {' x '.join(str(size) for size in values.shape)}; it belongs to another model"
        )
    if not np.isfinite(values).all():
        raise RequestError("the latent contains values that are not finite; start from a new image")
    return torch.from_numpy(values).to(device_of(generator))


def check_points(
    generator: Generator, handles_px: FloatArray, targets_px: FloatArray
) -> tuple[Tensor, Tensor]:
    """Return handles and targets as float32 tensors on the generator's device.

    Args:
        generator: The generator whose image the points are in.
        handles_px: ``P x 2`` float, at least one, in image pixels: (x, y), from 0 to the image's
            width and height inclusive. They are copied.
        targets_px: ``P x 2`` float, the target of each handle, in the same range.

    Returns:
        Handles and targets, ``P x 2`` float32 each, in image pixels.

    Raises:
        RequestError: There is no handle, handles and targets differ in number, or a point is
            outside the image.
    """
    handles, targets = (np.array(p, dtype=np.float32) for p in (handles_px, targets_px))
    if handles.ndim != 2 or handles.shape != targets.shape or handles.shape[1] != 2:
        raise RequestError(
            "handles and targets must be the same number of points (x, y), "
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
    """Return the fixed area of a mask, on the generator's device.

    Args:
        generator: The generator whose image the mask is for.
        mask: ``H x W`` uint8 in the image's size, 255 = may change, 0 = fixed, or None.

    Returns:
        ``H x W`` float32, 1 = fixed, 0 = may change; None if there is no mask.

    Raises:
        RequestError: The mask has another size than the image, or another dtype.
    """
    if mask is None:
        return None
    _, height, width = generator.img_shape
    if mask.shape != (height, width) or mask.dtype != np.uint8:
        found = " x ".join(str(size) for size in reversed(mask.shape))
        raise RequestError(
            f"the mask must be {width} x {height} px of uint8, the size of the image, but it is "
            f"{found} of {mask.dtype}; create it again in that size"
        )
    free = torch.from_numpy(mask.astype(np.float32) / _FULLY_FREE)
    return (1 - free).to(device_of(generator))
