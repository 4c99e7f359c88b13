# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions of the latent, and what sliders that move along them add to a picture. Pure numpy.

A *direction* is what a strength of 1 adds to the latent of a model, in some of its layers. That of
a model's own directions is one standard deviation (sigma) of its w. Sliders add up: the latent of
an image is what it was without them, plus the strength times the direction of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .pictures import decode_picture, encode_picture

Change = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Direction:
    """A named direction.

    Attributes:
        name: For people.
        change: What a strength of 1 adds to the latent: ``1 x w_dim`` float32, the same for each
            layer, or ``num_ws x w_dim``.
        first: The first layer that it usually changes, counted from 0.
        last: The last one, included; a number beyond the last layer of the model means that one.
    """

    name: str
    change: Change
    first: int
    last: int

    def turned(self) -> Direction:
        """Return the opposite direction, under the same name."""
        return replace(self, change=-self.change)


def on_layers(change: Change, num_ws: int, first: int, last: int) -> Change:
    """Return what a strength of 1 adds to a whole latent.

    Args:
        change: ``1 x w_dim`` or ``num_ws x w_dim`` float32.
        num_ws: The number of layers of the latent.
        first: The first layer that changes, counted from 0.
        last: The last one, included.

    Returns:
        ``num_ws x w_dim`` float32, zero outside the layers.
    """
    whole = np.zeros((num_ws, change.shape[1]), np.float32)
    whole[first : last + 1] = np.broadcast_to(change, whole.shape)[first : last + 1]
    return whole


def added(parts: Iterable[tuple[float, Change]], shape: tuple[int, int]) -> Change:
    """Return the sum of changes times their strengths, computed in double precision.

    Args:
        parts: Strengths, and changes of the shape.
        shape: ``num_ws, w_dim``.
    """
    whole = np.zeros(shape, np.float64)
    for strength, change in parts:
        if strength:
            whole += strength * change.astype(np.float64)
    return whole.astype(np.float32)


def moved(picture: bytes, change: Change) -> bytes:
    """Return a picture after a change of the latent of the whole image, with its layers over it.

    All latents of the picture change alike, so masked edits stay over what they were made on.

    Args:
        picture: In the format of ``pictures``.
        change: ``num_ws x w_dim`` float32.

    Raises:
        ValueError: The picture is damaged.
    """
    if not change.any():
        return picture
    found = decode_picture(picture)

    def both(latent: bytes) -> bytes:
        values = np.frombuffer(latent, "<f4").reshape(change.shape)
        return np.ascontiguousarray(values + change, dtype="<f4").tobytes()

    layers = tuple(replace(layer, latent=both(layer.latent)) for layer in found.layers)
    return encode_picture(replace(found, latent=both(found.latent), layers=layers))
