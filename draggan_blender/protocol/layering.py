# SPDX-License-Identifier: GPL-3.0-or-later
"""How masked edits add up to the layers of a picture. Pure numpy, no bpy.

An *edit* is a change of the latent inside a mask. Edits are put over an image one after the other:
each adds a layer that shows the picture so far, changed, inside its mask. Where it covers earlier
layers, each of these is repeated inside the new one, *clipped* to it, and changed likewise, so that
overlapping edits add up and nothing that was edited before is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .pictures import Picture, PictureLayer, decode_picture, encode_picture

Latent = NDArray[np.float32]
Mask = NDArray[np.uint8]

_WHITE = 255
# With each mask that lies over all those before it, the number of layers doubles: with five, it is
# 31. Every layer is computed for every image, so a sixth would be too slow, and take too much
# memory. There is room for some that do not overlap the five.
MOST_LAYERS = 40


class TooManyLayersError(ValueError):
    """More masks lie over each other than can be computed; the text is a sentence for people."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A latent that is seen through a mask.

    Attributes:
        mask: ``H x W`` uint8 in the size of the image; 255 shows the layer, 0 what is below.
        softness: Over how many pixels the layer fades in from the border of the mask's zeros.
        latent: ``num_ws x w_dim`` float32.
        clipped: Whether it is seen only inside the nearest layer below that is not clipped, in
            place of it.
    """

    mask: Mask
    softness: float
    latent: Latent
    clipped: bool = False

    def has_place_of(self, other: Layer) -> bool:
        """Return whether another layer is seen at the same places."""
        facts = self.softness == other.softness and self.clipped == other.clipped
        return facts and np.array_equal(self.mask, other.mask)


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedChange:
    """An edit: what is added to the latent of a picture inside a mask.

    Attributes:
        mask: ``H x W`` uint8 in the size of the image; 255 changes, 0 stays.
        softness: See ``Layer``.
        change: ``num_ws x w_dim`` float32.
    """

    mask: Mask
    softness: float
    change: Latent

    def at(self, strength: float) -> MaskedChange:
        """Return the edit at a strength, where 1 is the whole edit."""
        if strength == 1.0:
            return self
        return replace(self, change=self.change * np.float32(strength))

    def has_place_of(self, other: MaskedChange) -> bool:
        """Return whether another edit has the same mask and softness."""
        return self.softness == other.softness and np.array_equal(self.mask, other.mask)


def require_few(layers: Sequence[Layer]) -> None:
    """Refuse a picture that would be too slow.

    Raises:
        TooManyLayersError: It has more than ``MOST_LAYERS``.
    """
    if len(layers) > MOST_LAYERS:
        raise TooManyLayersError(
            f"too many masks lie over each other: they would make {len(layers)} layers, and at "
            f"most {MOST_LAYERS} are computed; hide or remove an edit, go on with one of them "
            "(Edit This), or use a mask that does not overlap so many"
        )


def covered(base: Latent, layers: Sequence[Layer], mask: Mask, softness: float) -> list[Layer]:
    """Return a layer that shows a picture inside a mask, and those that are clipped to it.

    Layers below one that fills the mask are left out, because they are not seen.

    Args:
        base: ``num_ws x w_dim`` float32, the latent of the whole image.
        layers: The layers over it, from the lowest to the topmost.
        mask: See ``Layer``.
        softness: See ``Layer``.
    """
    found = [Layer(mask=mask, softness=softness, latent=base)]
    group = mask
    for layer in layers:
        own = layer.mask
        if layer.clipped:
            own = _product(own, group)
        else:
            group = own
        common = _product(own, mask)
        if not common.any():
            continue
        if np.array_equal(common, mask):
            found = [Layer(mask=mask, softness=softness, latent=layer.latent)]
        else:
            found.append(replace(layer, mask=own, clipped=True))
    return found


def _product(first: Mask, second: Mask) -> Mask:
    both = (first.astype(np.uint16) * second + _WHITE // 2) // _WHITE
    found: Mask = both.astype(np.uint8)
    return found


def composed(base: Latent, edits: Iterable[MaskedChange]) -> bytes:
    """Return the picture of an image with edits over it, in the format of ``pictures``.

    Args:
        base: ``num_ws x w_dim`` float32, the latent of the image without edits.
        edits: From the lowest to the topmost.

    Raises:
        TooManyLayersError: See ``require_few``.
    """
    layers: list[Layer] = []
    for edit in edits:
        layers += [
            replace(layer, latent=layer.latent + edit.change)
            for layer in covered(base, layers, edit.mask, edit.softness)
        ]
        require_few(layers)
    return encoded(base, layers)


def mixed(
    base: Latent, edits: Sequence[MaskedChange], rows: Iterable[Sequence[float]]
) -> list[bytes]:
    """Return the pictures of edits at other strengths, as ``composed``; equal ones are one object.

    Args:
        base: ``num_ws x w_dim`` float32, the latent of the image without edits.
        edits: From the lowest to the topmost.
        rows: For each picture how much of each edit is shown; one at 0 leaves no layer.

    Raises:
        TooManyLayersError: See ``require_few``.
    """
    made: dict[tuple[float, ...], bytes] = {}
    pictures = []
    for strengths in map(tuple, rows):
        if strengths not in made:
            parts = zip(edits, strengths, strict=True)
            made[strengths] = composed(base, [one.at(part) for one, part in parts if part > 0.0])
        pictures.append(made[strengths])
    return pictures


def encoded(base: Latent, layers: Iterable[Layer]) -> bytes:
    """Return a picture in the format of ``pictures``; see ``covered``."""
    stored = tuple(_stored(layer) for layer in layers)
    return encode_picture(Picture(latent=_bytes(base), layers=stored))


def separated(picture: bytes, w_dim: int) -> tuple[Latent, list[MaskedChange]]:
    """Return the image without edits and the edits of a picture: the reverse of ``composed``.

    Args:
        picture: In the format of ``pictures``.
        w_dim: The size of the latent of a layer of the network.

    Returns:
        ``num_ws x w_dim`` float32, and the edits from the lowest to the topmost.

    Raises:
        ValueError: The bytes are damaged.
    """
    found = decode_picture(picture)
    base = _latent(found.latent, w_dim)
    layers = [
        Layer(
            mask=np.frombuffer(layer.mask, np.uint8).reshape(layer.height, layer.width),
            softness=layer.softness,
            latent=_latent(layer.latent, w_dim),
            clipped=layer.clipped,
        )
        for layer in found.layers
    ]
    edits = []
    for index, layer in enumerate(layers):
        if not layer.clipped:
            below = covered(base, layers[:index], layer.mask, layer.softness)[0].latent
            edits.append(
                MaskedChange(mask=layer.mask, softness=layer.softness, change=layer.latent - below)
            )
    return base, edits


def _latent(data: bytes, w_dim: int) -> Latent:
    return np.frombuffer(data, dtype="<f4").reshape(-1, w_dim).astype(np.float32)


def _bytes(latent: Latent) -> bytes:
    return np.ascontiguousarray(latent, dtype="<f4").tobytes()


def _stored(layer: Layer) -> PictureLayer:
    height, width = layer.mask.shape
    return PictureLayer(
        width=width,
        height=height,
        mask=layer.mask.tobytes(),
        softness=layer.softness,
        latent=_bytes(layer.latent),
        clipped=layer.clipped,
    )
