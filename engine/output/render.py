# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents to pictures, without gradients.

Two forms: `H x W x 3` uint8, top row first, for files; and float32 RGBA, bottom row first, the
layout of Blender's images, for the live preview.  The second is made from the first, so that what
is seen while dragging equals the file that is written afterwards.

On a CPU, what goes into files is rendered one image at a time: sums of a batch come out in another
order, so that an image would depend on those beside it, and a sequence on how it was divided among
workers; and there batches save little.  On a GPU, where nobody promises equal bits and a small
image leaves most of it idle, it goes in batches.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..inputs import device_of

_BATCH_PIXELS = 512 * 512
"""Pixels synthesised at once: one large image or some small ones, to bound the memory."""
_MOST_IMAGES = 8
"""In a batch: the caller can write, report and be cancelled between two of them."""


@torch.no_grad()
def render_images(
    generator: Generator, latents: Tensor, resolution: int | None = None
) -> ByteArray:
    """Synthesise images.

    Args:
        latents: `N x num_ws x w_dim` float32 on the generator's device.
        resolution: the block whose smaller image is meant; None for the last one.

    Returns:
        `N x H x W x 3` uint8, sRGB, top row first.  [-1, 1] becomes 0 to 255; a model with a
        single channel gives grey, and channels beyond the third are left out.
    """
    images = generator.synthesis(latents, noise_mode="const", resolution=resolution)[:, :3]
    if images.shape[1] < 3:
        images = images[:, :1].expand(-1, 3, -1, -1)
    scaled = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    result: ByteArray = scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return result


def render_image(generator: Generator, latent: FloatArray) -> ByteArray:
    """Synthesise one image, the same to the bit whatever else is rendered.

    Args:
        latent: `num_ws x w_dim` float32.

    Returns:
        `H x W x 3` uint8, as `render_images`.
    """
    rows = torch.from_numpy(np.ascontiguousarray(latent[None]))
    image: ByteArray = render_images(generator, rows.to(device_of(generator)))[0]
    return image


def preview_pixels(image: ByteArray) -> FloatArray:
    """An image in the layout of Blender's pixels.

    Args:
        image: `H x W x 3` uint8, top row first.

    Returns:
        `H x W x 4` float32 in [0, 1], bottom row first, alpha 1, contiguous.
    """
    height, width, _ = image.shape
    pixels = np.ones((height, width, 4), dtype=np.float32)
    np.divide(image[::-1], np.float32(255), out=pixels[..., :3])
    return pixels


def images_at_once(generator: Generator) -> int:
    """How many images of a sequence are rendered in one batch for its files."""
    return 1 if device_of(generator).type == "cpu" else _batch_size(generator)


def render_frames(generator: Generator, latents: FloatArray) -> Iterator[ByteArray]:
    """Synthesise many images, in small batches.

    Args:
        latents: `T x num_ws x w_dim` float32.

    Yields:
        `H x W x 3` uint8, one for each row.
    """
    size = _batch_size(generator)
    for first in range(0, len(latents), size):
        batch = torch.from_numpy(np.ascontiguousarray(latents[first : first + size]))
        yield from render_images(generator, batch.to(device_of(generator)))


def _batch_size(generator: Generator) -> int:
    _, height, width = generator.img_shape
    return min(max(1, _BATCH_PIXELS // (height * width)), _MOST_IMAGES)
