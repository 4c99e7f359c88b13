# SPDX-License-Identifier: GPL-3.0-or-later
"""The masked layers of the rows of a track, as plain arrays in which nothing is stored twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from draggan_blender.protocol.layering import Layer

from ..arrays import ByteArray, FloatArray
from ..pictures import Picture

# The name of each array in the file, and its type.
LAYER_ARRAYS = {
    "layer_masks": np.uint8,
    "layer_softness": np.float32,
    "layer_clipped": np.uint8,
    "layer_latents": np.float32,
    "layer_entries": np.int64,
}


@dataclass(frozen=True, eq=False)
class TrackLayers:
    """The layers over the rows of a track.

    Attributes:
        masks: ``M x H x W`` uint8, see ``pictures.Layer``.
        softness: ``M`` float32, the softness that belongs to each mask.
        clipped: ``M`` uint8, 1 if the layers with this mask are clipped, see ``pictures.Layer``.
        latents: ``U x L x w_dim`` float32, the first L layers of each latent; the others are those
            of the track's start.
        entries: ``E x 3`` int64, for each layer of each row: the row, the index of its mask, and
            that of its latent. In the order of the rows, and in a row from the lowest layer up.
    """

    masks: ByteArray
    softness: FloatArray
    clipped: ByteArray
    latents: FloatArray
    entries: npt.NDArray[np.int64]

    @classmethod
    def of(cls, pictures: Sequence[Picture], start: FloatArray) -> TrackLayers | None:
        """Return the layers of pictures; None if no picture has any.

        Args:
            pictures: One for each row.
            start: ``num_ws x w_dim`` float32, the start of the track.
        """
        masks: dict[tuple[bytes, float, bool], int] = {}
        latents: dict[bytes, int] = {}
        layers: dict[int, Layer] = {}
        stored: dict[int, FloatArray] = {}
        # Pictures of one drag share their masks; copying one per row would take longer than it.
        seen: dict[int, bytes] = {}
        entries = []
        for row, picture in enumerate(pictures):
            for layer in picture.layers:
                pixels = seen.get(id(layer.mask)) or layer.mask.tobytes()
                seen[id(layer.mask)] = pixels
                place = pixels, layer.softness, layer.clipped
                mask = masks.setdefault(place, len(masks))
                latent = latents.setdefault(layer.latent.tobytes(), len(latents))
                layers.setdefault(mask, layer)
                stored.setdefault(latent, layer.latent)
                entries.append((row, mask, latent))
        if not entries:
            return None
        whole = np.stack([stored[index] for index in range(len(latents))])
        changed = np.flatnonzero((whole != start).any(axis=(0, 2)))
        return cls(
            np.stack([layers[index].mask for index in range(len(masks))]),
            np.array([layers[index].softness for index in range(len(masks))], np.float32),
            np.array([layers[index].clipped for index in range(len(masks))], np.uint8),
            whole[:, : int(changed[-1]) + 1 if len(changed) else 0],
            np.array(entries, np.int64),
        )

    def of_row(self, row: int, start: FloatArray) -> tuple[Layer, ...]:
        """Return the layers of a row, from the lowest to the topmost.

        Args:
            row: The row.
            start: ``num_ws x w_dim`` float32, the start of the track.
        """
        count = self.latents.shape[1]
        return tuple(
            Layer(
                mask=self.masks[mask],
                softness=float(self.softness[mask]),
                clipped=bool(self.clipped[mask]),
                latent=np.concatenate([self.latents[latent], start[count:]]),
            )
            for _, mask, latent in self.entries[self.entries[:, 0] == row]
        )

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of the file by their names."""
        values = self.masks, self.softness, self.clipped, self.latents, self.entries
        return {
            name: np.asarray(array, dtype=kind)
            for (name, kind), array in zip(LAYER_ARRAYS.items(), values, strict=True)
        }

    def problem(self, rows: int, latent_shape: tuple[int, ...]) -> str:
        """Return what is wrong with the arrays, as a clause; empty if nothing is.

        Args:
            rows: How many rows the track has.
            latent_shape: ``num_ws`` and ``w_dim``.
        """
        masks, latents = len(self.masks), len(self.latents)
        if self.masks.ndim != 3 or 0 in self.masks.shape or self.softness.shape != (masks,):
            return f"its masks have shape {self.masks.shape} for {self.softness.shape} softnesses"
        is_table = self.latents.ndim == 3 and self.latents.shape[2] == latent_shape[1]
        if not is_table or self.latents.shape[1] > latent_shape[0]:
            return f"its layers have latents of shape {self.latents.shape}"
        if self.clipped.shape != (masks,):
            return f"its clipped layers have shape {self.clipped.shape}"
        if not np.isfinite(self.latents).all() or not np.isfinite(self.softness).all():
            return "its layers hold values that are not finite"
        if (self.softness < 0).any():
            return "the softness of a mask is below 0"
        if self.entries.ndim != 2 or self.entries.shape[1] != 3:
            return f"its entries have shape {self.entries.shape}"
        limits = np.array([rows, masks, latents])
        if (self.entries < 0).any() or (self.entries >= limits).any():
            return "its entries refer to rows, masks or latents that do not exist"
        if (np.diff(self.entries[:, 0]) < 0).any():
            return "its entries are not in the order of the rows"
        return ""
