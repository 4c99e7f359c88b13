# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures: a latent with masked layers over it, and which of their latents a drag changes.

A layer is a latent that is seen through a mask, over the picture of everything below it (see
``stylegan2.network.canvas``). A drag with an exact mask *opens* a picture under that mask: a new
layer is put on top, which has the latent of the picture inside the mask, and only this layer
changes. If an earlier drag had the same mask, its layer is opened again. Where the new mask covers
older layers, each of these is repeated inside the new one, *clipped* to it, and all of them change
together, by the same change; so nothing that was dragged before is lost. A drag without an exact
mask opens all latents of the picture together.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

import numpy as np

from draggan_blender.protocol.layering import (
    MOST_LAYERS,
    Layer,
    TooManyLayersError,
    covered,
    encoded,
    require_few,
)
from stylegan2 import Canvas, Generator, Matte, Overlay

from .arrays import ByteArray, FloatArray
from .errors import RequestError
from .inputs import check_latent, check_mask

_WHITE = 255

# Of each generator the canvas that was made last, while somebody has it, with what is below on it.
_LAST: weakref.WeakKeyDictionary[Generator, tuple[Picture, weakref.ref[Canvas]]] = (
    weakref.WeakKeyDictionary()
)


@dataclass(frozen=True, eq=False)
class Picture:
    """The latent of a whole image, and the layers over it from the lowest to the topmost.

    Attributes:
        latent: ``num_ws x w_dim`` float32.
        layers: May be empty.
    """

    latent: FloatArray
    layers: tuple[Layer, ...] = ()

    @property
    def latents(self) -> list[FloatArray]:
        """The latent of the whole image, and those of the layers."""
        return [self.latent, *(layer.latent for layer in self.layers)]

    def to_bytes(self) -> bytes:
        """Return the picture in the format of ``protocol.pictures``."""
        return encoded(self.latent, self.layers)

    @property
    def top(self) -> int:
        """The index of the topmost layer that is not clipped; those after it are clipped to it."""
        return max(i for i, layer in enumerate(self.layers) if i == 0 or not layer.clipped)

    def without_top(self) -> Picture:
        """Return the picture without its topmost layer and what is clipped to it."""
        return Picture(self.latent, self.layers[: self.top])

    def equals(self, other: Picture) -> bool:
        """Return whether two pictures have the same latents, masks and softness, to the bit."""
        if len(self.layers) != len(other.layers):
            return False
        same = zip(self.layers, other.layers, strict=True)
        latents = zip(self.latents, other.latents, strict=True)
        return all(mine.has_place_of(theirs) for mine, theirs in same) and all(
            np.array_equal(mine, theirs) for mine, theirs in latents
        )


@dataclass(frozen=True, eq=False)
class OpenPicture:
    """A picture, and which of its latents change together: those from one of them upwards.

    Attributes:
        picture: The picture.
        first: The lowest latent that changes: 0 for that of the whole image, 1 for the lowest
            layer.
    """

    picture: Picture
    first: int = 0

    @property
    def latent(self) -> FloatArray:
        """The lowest latent that changes, ``num_ws x w_dim`` float32."""
        return self.picture.latents[self.first]

    @property
    def is_plain(self) -> bool:
        """Whether the picture has one latent, for the whole image."""
        return not self.picture.layers

    def at(self, latent: FloatArray) -> Picture:
        """Return the picture after a change.

        Args:
            latent: ``num_ws x w_dim`` float32, what the lowest latent that changes has become.
        """
        change = latent - self.latent

        def moved(number: int, before: FloatArray) -> FloatArray:
            if number < self.first:
                return before
            return latent if number == self.first else before + change

        layers = enumerate(self.picture.layers, start=1)
        return Picture(
            moved(0, self.picture.latent),
            tuple(replace(layer, latent=moved(i, layer.latent)) for i, layer in layers),
        )

    def on(self, base: FloatArray) -> OpenPicture:
        """Return the same with another latent for the whole image, and all others moved with it.

        Args:
            base: ``num_ws x w_dim`` float32.
        """
        return OpenPicture(OpenPicture(self.picture).at(base), self.first)

    def widened(self, mask: ByteArray) -> OpenPicture | None:
        """Return the same with a larger mask over what changes.

        What changes keeps its latents. The larger mask may cover older layers that the smaller one
        did not; these are repeated inside it, with the same change.

        Args:
            mask: ``H x W`` uint8, 255 = may change, at no place less than the present mask.

        Returns:
            None if the picture is not open under a mask, if the larger mask is over another image
            of the whole, so that there is no common change, or if there would be too many layers.
        """
        if not self.first:
            return None
        layers = self.picture.layers
        below, opened = layers[: self.first - 1], layers[self.first - 1]
        base = self.picture.latent
        before = covered(base, below, opened.mask, opened.softness)[0].latent
        wider = covered(base, below, mask, opened.softness)
        if not np.array_equal(wider[0].latent, before) or len(below) + len(wider) > MOST_LAYERS:
            return None
        change = opened.latent - before
        moved = (replace(layer, latent=layer.latent + change) for layer in wider[1:])
        first = replace(opened, mask=mask)
        return OpenPicture(Picture(base, (*below, first, *moved)), self.first)

    def canvas(self, generator: Generator) -> Canvas | None:
        """Return what computes the picture; None if it has one latent, for the whole image.

        What is below is computed once for all canvases that follow each other: those of a drag, of
        its previews and of its frames.

        Args:
            generator: Frozen, on the device to compute on.

        Raises:
            RequestError: A latent or a mask does not fit the generator.
        """
        if self.is_plain:
            return None
        overlays: list[Overlay] = []
        first = self.first
        for number, layer in enumerate(self.picture.layers, start=1):
            fixed = check_mask(generator, layer.mask)
            assert fixed is not None
            matte = Matte(generator.config, 1 - fixed, layer.softness)
            overlay = Overlay(check_latent(generator, layer.latent), matte)
            if layer.clipped and overlays:
                clipped = (*overlays[-1].clipped, overlay)
                overlays[-1] = replace(overlays[-1], clipped=clipped)
            else:
                overlays.append(overlay)
                first = len(overlays) if number == self.first else first
        base = check_latent(generator, self.picture.latent)
        canvas = Canvas(generator, base, overlays, first)
        if self.first:
            below = Picture(self.picture.latent, self.picture.layers[: self.first - 1])
            known, last = _LAST.get(generator, (None, None))
            other = None if last is None else last()
            if known is not None and other is not None and known.equals(below):
                canvas.share_below(other)
            _LAST[generator] = below, weakref.ref(canvas)
        return canvas


def open_picture(
    picture: Picture, mask: ByteArray | None = None, softness: float = 0.0
) -> OpenPicture:
    """Open a picture for a drag.

    Args:
        picture: The picture to start from.
        mask: ``H x W`` uint8, 255 = may change, 0 = stays exactly; None if everything may change,
            which a white mask means as well.
        softness: See ``Layer``.

    Raises:
        RequestError: The picture would have too many layers.
    """
    if mask is None or (mask == _WHITE).all():
        return OpenPicture(picture)
    for count, layer in enumerate(picture.layers):
        first = count + 1
        if layer.clipped:
            continue
        again = covered(picture.latent, picture.layers[:count], mask, softness)
        above = picture.layers[count:]
        if len(again) == len(above) and all(
            one.has_place_of(other) for one, other in zip(again, above, strict=True)
        ):
            return OpenPicture(picture, first)
    first = len(picture.layers) + 1
    layers = (*picture.layers, *covered(picture.latent, picture.layers, mask, softness))
    try:
        require_few(layers)
    except TooManyLayersError as error:
        raise RequestError(str(error)) from None
    return OpenPicture(Picture(picture.latent, layers), first)
