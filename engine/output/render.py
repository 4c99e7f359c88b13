# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders latents, and pictures with layers, to images, without gradients.

There are two forms: ``H x W x C`` uint8, top row first, for files (C is 3, or 4 for models with
four or more channels, which are RGBA), and float32 RGBA, bottom row first, the layout of Blender's
images, for previews. The second is made from the first, so that a preview that stays equals the
file that is written later; those of a running drag may differ from it by rounding, see
``open_pass``. Files have the further channels of a model beside the colours.

On a CPU, images for files are rendered one at a time. In a batch, sums are computed in another
order, so that an image would depend on the others in its batch, and a sequence on how it was
divided among workers; batches also save little time there. On a GPU, results are not equal to the
bit anyway and a small image leaves most of the GPU idle, so images are rendered in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from draggan_blender.protocol.file_names import COLOUR_CHANNELS
from stylegan2 import Canvas, Generator, ImagePass, Scratch, fused_operators

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..inputs import device_of
from ..pictures import OpenPicture, Picture

# The most pixels of a batch, one large image or several small ones, to limit the memory.
_BATCH_PIXELS = 512 * 512
# The most images of a batch: between batches the caller can write, report, and be cancelled.
_MOST_IMAGES = 8


@torch.no_grad()
def render_images(
    generator: Generator,
    latents: Tensor,
    resolution: int | None = None,
    canvas: Canvas | None = None,
    *,
    is_checked: bool = False,
    every_channel: bool = False,
    between: Callable[[], None] = lambda: None,
) -> ByteArray:
    """Synthesise images.

    Args:
        generator: The model.
        latents: ``N x num_ws x w_dim`` float32 on the generator's device.
        resolution: The block whose image is rendered, for a smaller image; None for the last.
        canvas: The picture that the latents belong to; None for pictures of one latent.
        is_checked: Whether values that are not finite are an error; otherwise they become black.
        every_channel: Whether channels after the fourth are returned as well.
        between: Called between the layers of pictures of one latent; it may raise to leave them.

    Returns:
        ``N x H x W x C`` uint8, sRGB, top row first. The generator's [-1, 1] becomes 0 to 255. A
        model with four or more channels gives RGBA with straight alpha, and C is 4, or more with
        ``every_channel``. For all others C is 3: one or two channels give grey.

    Raises:
        RequestError: ``is_checked``, and a value is not finite.
    """
    if canvas is None:
        images = generator.synthesis(
            latents, noise_mode="const", resolution=resolution, between=between
        )
    else:
        images = canvas.image(latents, resolution)
    if not every_channel:
        images = _coloured(images)
    elif images.shape[1] < 3:
        images = _as_grey(images)
    if is_checked and not bool(images.isfinite().all()):
        raise RequestError(
            "the numbers of the model overflow in this image, so that it would be black; choose "
            "another checkpoint of the model"
        )
    return _bytes_of(images)


def _coloured(images: Tensor) -> Tensor:
    """Return the colours of images ``N x C x H x W``, 3 or 4 channels."""
    images = images[:, :COLOUR_CHANNELS]
    return _as_grey(images) if images.shape[1] < 3 else images


def _as_grey(images: Tensor) -> Tensor:
    return images[:, :1].expand(-1, 3, -1, -1)


def _bytes_of(images: Tensor) -> ByteArray:
    scaled = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    result: ByteArray = scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return result


def open_pass(
    generator: Generator,
    latent: Tensor,
    resolution: int,
    num_layers: int = 0,
    between: Callable[[], None] = lambda: None,
    scratch: Scratch | None = None,
) -> ImagePass | None:
    """Return the pass that makes the image of a block faster than ``render_images``, if any does.

    On a CPU it is faster; a GPU has recorded passes of windows.

    Args:
        generator: Frozen.
        latent: ``num_ws x w_dim`` float32 on the generator's device.
        resolution: The block.
        num_layers: As of ``ImagePass``.
        between: As of ``ImagePass``.
        scratch: As of ``ImagePass``.
    """
    config = generator.config
    if latent.device.type != "cpu" or not config.has_windows or not config.has_rgb(resolution):
        return None
    operators = fused_operators(latent.device)
    return ImagePass(generator, latent, resolution, num_layers, operators, between, scratch)


@torch.no_grad()
def render_pass(image_pass: ImagePass) -> ByteArray:
    """Return the image of a pass, ``H x W x C`` uint8, as ``render_images``, up to rounding."""
    image: ByteArray = _bytes_of(_coloured(image_pass.image()))[0]
    return image


def render_image(
    generator: Generator,
    picture: Picture | FloatArray,
    canvases: Canvases | None = None,
    *,
    every_channel: bool = False,
) -> ByteArray:
    """Synthesise one image, which does not depend on other images, to the bit.

    Args:
        generator: The model.
        picture: The picture, or the latent of the whole image, ``num_ws x w_dim`` float32.
        canvases: As of ``render_frames``.
        every_channel: As of ``render_images``.

    Returns:
        ``H x W x C`` uint8, as ``render_images``.

    Raises:
        RequestError: A value of the image is not finite.
    """
    frames = render_frames(
        generator, [picture], canvases, is_checked=True, every_channel=every_channel
    )
    return next(frames)


def preview_pixels(image: ByteArray) -> FloatArray:
    """Convert an image to the layout of Blender's pixels.

    Args:
        image: ``H x W x C`` uint8, top row first; C is 3 or 4.

    Returns:
        ``H x W x 4`` float32 in [0, 1], bottom row first, contiguous. Without a fourth channel,
        alpha is 1.
    """
    height, width, channels = image.shape
    pixels = np.ones((height, width, 4), dtype=np.float32)
    np.divide(image[::-1], np.float32(255), out=pixels[..., :channels])
    return pixels


def images_at_once(generator: Generator) -> int:
    """Return how many images of a sequence's files are rendered in one batch."""
    return 1 if device_of(generator).type == "cpu" else _batch_size(generator)


def render_frames(
    generator: Generator,
    pictures: Iterable[Picture | FloatArray],
    canvases: Canvases | None = None,
    *,
    is_checked: bool = False,
    every_channel: bool = False,
) -> Iterator[ByteArray]:
    """Synthesise many images, in small batches.

    Args:
        generator: The model.
        pictures: Pictures, or latents of whole images, ``num_ws x w_dim`` float32.
        canvases: Keeps what pictures have in common, also between calls; None for this call only.
        is_checked: As of ``render_images``.
        every_channel: Likewise.

    Yields:
        ``H x W x C`` uint8, as ``render_images``, one for each picture.
    """
    device, size = device_of(generator), _batch_size(generator)
    batch: list[FloatArray] = []
    canvases = Canvases(generator) if canvases is None else canvases
    render = partial(render_images, is_checked=is_checked, every_channel=every_channel)

    def rendered() -> Iterator[ByteArray]:
        if batch:
            rows = torch.from_numpy(np.ascontiguousarray(np.stack(batch)))
            batch.clear()
            yield from render(generator, rows.to(device))

    for picture in pictures:
        if isinstance(picture, Picture) and picture.layers:
            yield from rendered()
            latent = torch.from_numpy(np.ascontiguousarray(picture.layers[picture.top].latent))
            canvas = canvases.under_top(picture)
            yield from render(generator, latent[None].to(device), canvas=canvas)
            continue
        batch.append(picture.latent if isinstance(picture, Picture) else picture)
        if len(batch) == size:
            yield from rendered()
    yield from rendered()


class Canvases:
    """Makes the canvases of pictures, and keeps the last one: frames often differ in the top only.

    What does not change is then computed once and not for each frame.
    """

    def __init__(self, generator: Generator) -> None:
        """Begin without a canvas."""
        self._generator = generator
        self._last: tuple[Picture, Canvas] | None = None

    def under_top(self, picture: Picture) -> Canvas:
        """Return a canvas for a picture with layers, on which the topmost one may change.

        Raises:
            RequestError: A latent or a mask does not fit the generator.
        """
        top, last = picture.layers[picture.top :], self._last
        if last is not None and len(top) == 1:
            before = last[0].layers[last[0].top :]
            is_like = last[0].without_top().equals(picture.without_top())
            if is_like and len(before) == 1 and before[0].has_place_of(top[0]):
                return last[1]
        made = OpenPicture(picture, picture.top + 1).canvas(self._generator)
        assert made is not None, "the picture has layers"
        self._last = picture, made
        return made


def _batch_size(generator: Generator) -> int:
    _, height, width = generator.img_shape
    return min(max(1, _BATCH_PIXELS // (height * width)), _MOST_IMAGES)
