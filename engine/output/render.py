# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders latents to images, without gradients.

There are two forms: ``H x W x 3`` uint8, top row first, for files, and float32 RGBA, bottom row
first, the layout of Blender's images, for previews. The second is made from the first, so that a
preview equals the file that is written later.

On a CPU, images for files are rendered one at a time. In a batch, sums are computed in another
order, so that an image would depend on the others in its batch, and a sequence on how it was
divided among workers; batches also save little time there. On a GPU, results are not equal to the
bit anyway and a small image leaves most of the GPU idle, so images are rendered in batches.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..inputs import device_of

# The most pixels of a batch, one large image or several small ones, to limit the memory.
_BATCH_PIXELS = 512 * 512
# The most images of a batch: between batches the caller can write, report, and be cancelled.
_MOST_IMAGES = 8


@torch.no_grad()
def render_images(
    generator: Generator, latents: Tensor, resolution: int | None = None
) -> ByteArray:
    """Synthesise images.

    Args:
        generator: The model.
        latents: ``N x num_ws x w_dim`` float32 on the generator's device.
        resolution: The block whose image is rendered, for a smaller image; None for the last.

    Returns:
        ``N x H x W x 3`` uint8, sRGB, top row first. The generator's [-1, 1] becomes 0 to 255. A
        model with one channel gives grey, and channels after the third are left out.
    """
    images = generator.synthesis(latents, noise_mode="const", resolution=resolution)[:, :3]
    if images.shape[1] < 3:
        images = images[:, :1].expand(-1, 3, -1, -1)
    scaled = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    result: ByteArray = scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return result


def render_image(generator: Generator, latent: FloatArray) -> ByteArray:
    """Synthesise one image, which does not depend on other images, to the bit.

    Args:
        generator: The model.
        latent: ``num_ws x w_dim`` float32.

    Returns:
        ``H x W x 3`` uint8, as ``render_images``.
    """
    rows = torch.from_numpy(np.ascontiguousarray(latent[None]))
    image: ByteArray = render_images(generator, rows.to(device_of(generator)))[0]
    return image


def preview_pixels(image: ByteArray) -> FloatArray:
    """Convert an image to the layout of Blender's pixels.

    Args:
        image: ``H x W x 3`` uint8, top row first.

    Returns:
        ``H x W x 4`` float32 in [0, 1], bottom row first, alpha 1, contiguous.
    """
    height, width, _ = image.shape
    pixels = np.ones((height, width, 4), dtype=np.float32)
    np.divide(image[::-1], np.float32(255), out=pixels[..., :3])
    return pixels


def images_at_once(generator: Generator) -> int:
    """Return how many images of a sequence's files are rendered in one batch."""
    return 1 if device_of(generator).type == "cpu" else _batch_size(generator)


def render_frames(generator: Generator, latents: FloatArray) -> Iterator[ByteArray]:
    """Synthesise many images, in small batches.

    Args:
        generator: The model.
        latents: ``T x num_ws x w_dim`` float32.

    Yields:
        ``H x W x 3`` uint8, as ``render_images``, one for each row.
    """
    size = _batch_size(generator)
    for first in range(0, len(latents), size):
        batch = torch.from_numpy(np.ascontiguousarray(latents[first : first + size]))
        yield from render_images(generator, batch.to(device_of(generator)))


def _batch_size(generator: Generator) -> int:
    _, height, width = generator.img_shape
    return min(max(1, _BATCH_PIXELS // (height * width)), _MOST_IMAGES)
