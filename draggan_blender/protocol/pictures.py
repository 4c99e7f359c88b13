# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture is made of, as bytes: a latent, or a latent with masked layers over it.

Wherever a message or a .blend holds the latent of an image, it may hold these bytes. Of an image
with one latent they are that latent alone, ``num_ws x w_dim`` float32, as they were before there
were layers. Otherwise they begin with ``MAGIC``, which as a float32 is not a number, so that no
latent begins with it.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass

MAGIC = b"\xff\xff\xff\x7fDragGAN picture 1\n"
# The label of an image without one: the model has none, or mixes all of them.
NO_LABEL = -1
_LENGTH = struct.Struct("<I")
_MOST_LAYERS = 10_000
_MOST_PIXELS = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLayer:
    """A latent that is seen through a mask, over everything below it.

    Attributes:
        width: Width of the mask, pixels.
        height: Height of the mask, pixels.
        mask: ``height * width`` bytes, top row first; 255 shows the layer, 0 what is below.
        softness: Over how many pixels the layer fades in from the border of the mask's zeros.
        latent: ``num_ws x w_dim`` float32, little-endian.
        clipped: Whether it is seen only inside the nearest layer below that is not clipped.
    """

    width: int
    height: int
    mask: bytes
    softness: float
    latent: bytes
    clipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The latent of a whole image, and the layers over it from the lowest to the topmost.

    Attributes:
        latent: ``num_ws x w_dim`` float32, little-endian.
        layers: May be empty.
    """

    latent: bytes
    layers: tuple[PictureLayer, ...] = ()


def is_layered(data: bytes) -> bool:
    """Return whether bytes are those of a picture with layers, and not of a latent alone."""
    return data.startswith(MAGIC)


def encode_picture(picture: Picture) -> bytes:
    """Return the bytes of a picture; equal pictures give equal bytes."""
    if not picture.layers:
        return picture.latent
    masks = [zlib.compress(layer.mask, 9) for layer in picture.layers]
    header = json.dumps(
        {
            "latent": len(picture.latent),
            "layers": [
                [layer.width, layer.height, len(mask), float(layer.softness), layer.clipped]
                for layer, mask in zip(picture.layers, masks, strict=True)
            ],
        }
    ).encode()
    parts = [MAGIC, _LENGTH.pack(len(header)), header, picture.latent]
    for layer, mask in zip(picture.layers, masks, strict=True):
        parts += [mask, layer.latent]
    return b"".join(parts)


def decode_picture(data: bytes) -> Picture:
    """Return the picture of bytes; the sizes of latents are not checked.

    Raises:
        ValueError: The bytes begin like those of a picture with layers, but are not one.
    """
    if not is_layered(data):
        return Picture(latent=data)
    try:
        return _decode(data)
    except (struct.error, zlib.error, LookupError, TypeError, RecursionError, ValueError) as error:
        raise ValueError(f"the picture's layers are damaged ({error})") from None


def _decode(data: bytes) -> Picture:
    at = len(MAGIC) + _LENGTH.size
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    header = json.loads(data[at : at + length])
    size, facts = header["latent"], header["layers"]
    at += length
    if not 0 < len(facts) <= _MOST_LAYERS:
        raise ValueError(f"{len(facts)} layers")

    def take(count: int) -> bytes:
        nonlocal at
        part = data[at : at + count]
        if count < 0 or len(part) != count:
            raise ValueError("the bytes end too early")
        at += count
        return part

    latent = take(size)
    layers = []
    for width, height, stored, softness, clipped in facts:
        pixels = width * height
        if not 0 < pixels <= _MOST_PIXELS or not 0 <= softness < float("inf"):
            raise ValueError(f"a mask of {width} x {height} px with a softness of {softness}")
        mask = zlib.decompressobj().decompress(take(stored), pixels)
        if len(mask) != pixels:
            raise ValueError(f"a mask has {len(mask)} pixels, not {pixels}")
        layer = PictureLayer(
            width=width,
            height=height,
            mask=mask,
            softness=float(softness),
            latent=take(size),
            clipped=bool(clipped),
        )
        layers.append(layer)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left over")
    return Picture(latent=latent, layers=tuple(layers))
