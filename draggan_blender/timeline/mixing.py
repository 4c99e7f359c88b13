# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as arrays of equal shape, so that they can be interpolated and mixed. No bpy.

Pictures with masked layers are mixed layer by layer. A layer is known by its mask and softness. A
picture that lacks a layer of another one gets it with the latent of its whole image, which there
shows what the whole image shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..protocol.pictures import Picture, PictureLayer, decode_picture, encode_picture


@dataclass(frozen=True)
class Mixable:
    """N pictures with the same layers.

    Attributes:
        values: ``N x ((1 + K) num_ws) x w_dim`` float32: for each picture the latent of the whole
            image, and those of the K layers from the lowest to the topmost.
        places: The K layers, of which only mask and softness count.
    """

    values: NDArray[np.float32]
    places: tuple[PictureLayer, ...]

    @classmethod
    def of(cls, pictures: Sequence[bytes], w_dim: int) -> Mixable:
        """Return pictures as arrays.

        Args:
            pictures: At least one, each in the format of ``protocol.pictures``.
            w_dim: The size of the latent of a layer of the network.

        Raises:
            ValueError: The bytes of a picture are damaged, or their latents differ in size.
        """
        found = [decode_picture(one) for one in pictures]
        places: dict[object, PictureLayer] = {}
        for picture in found:
            for layer in picture.layers:
                places.setdefault(_place(layer), layer)
        rows = []
        for picture in found:
            own = {_place(layer): layer.latent for layer in picture.layers}
            latents = [picture.latent, *(own.get(place, picture.latent) for place in places)]
            rows.append(np.frombuffer(b"".join(latents), dtype="<f4").reshape(-1, w_dim))
        return cls(np.stack(rows).astype(np.float32), tuple(places.values()))

    def pictures(self, values: NDArray[np.float32]) -> list[bytes]:
        """Return other values in place of ``values`` as pictures, T of them."""
        count = 1 + len(self.places)
        return [self._picture(np.split(row, count)) for row in np.asarray(values, dtype="<f4")]

    def _picture(self, latents: list[NDArray[np.float32]]) -> bytes:
        base = latents[0].tobytes()
        layers = tuple(
            PictureLayer(
                width=place.width,
                height=place.height,
                mask=place.mask,
                softness=place.softness,
                latent=latent.tobytes(),
                clipped=place.clipped,
            )
            for place, latent in zip(self.places, latents[1:], strict=True)
        )
        if all(layer.latent == base for layer in layers):
            layers = ()
        return encode_picture(Picture(latent=base, layers=layers))


def _place(layer: PictureLayer) -> object:
    return layer.width, layer.height, layer.mask, layer.softness, layer.clipped
