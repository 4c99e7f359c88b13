# SPDX-License-Identifier: GPL-3.0-or-later
"""The track: the solved result of a drag or a bake, from which every frame can be rendered again.

A track has one row for each frame of a sequence. Its file is a ``.npz`` of plain arrays; layers of
the latent that no row changes are stored once. A track may come from a .blend or from another
machine, so reading checks everything.

The track of a bake also has what another bake can reuse (``BakedRows``).
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from draggan_blender.protocol.atomic_files import write_atomically
from draggan_blender.protocol.file_names import GREATEST_FRAME
from draggan_blender.protocol.layering import Layer
from draggan_blender.protocol.plain_arrays import MOST_BYTES
from draggan_blender.protocol.plain_files import read_plain_file

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..pictures import Picture
from ..solving.options import DragOptions
from ..solving.result import STATUSES, DragResult
from .track_arrays import (
    BAKED_ARRAYS,
    FORMAT_VERSION,
    TRACK_ARRAYS,
    TrackError,
    check_arrays,
    read_track_arrays,
)
from .track_layers import LAYER_ARRAYS, TrackLayers

_MAX_ROWS = 1_000_000
_MAX_POINTS = 10_000
_MAX_LATENT = 65_536


@dataclass(frozen=True, kw_only=True)
class BakedRows:
    """What the T rows of a bake have in addition to those of a drag.

    Attributes:
        keys: ``T x 32`` uint8, see ``baking.animated_edit``.
        steps: ``T`` int64, how many steps were made for each row.
        statuses: ``T`` uint8, indices into ``solving.result.STATUSES``.
        solved: ``S x L x w_dim`` float32, the edited layers before the track was smoothed. S is T,
            or 0 if the track was not smoothed.
        solved_handles_px: ``S x P x 2`` float32, image pixels, the handles before smoothing.
        turns: ``T x P x 2`` float32, before smoothing, ``z`` of each pair, see ``solving.regions``;
            empty if the edit has no regions.
    """

    keys: ByteArray
    steps: npt.NDArray[np.int64]
    statuses: ByteArray
    solved: FloatArray
    solved_handles_px: FloatArray
    turns: FloatArray = field(default_factory=lambda: np.empty((0, 0, 2), np.float32))


@dataclass(frozen=True, kw_only=True)
class Track:
    """T rows of a drag or a bake of P handles.

    Attributes:
        start: ``num_ws x w_dim`` float32, the latent that the drag started from, or the latent of
            a bake's image without the edit; that of the whole image if there are layers over it.
        edited: ``T x L x w_dim`` float32, the first L layers of each row's latent, likewise.
        numbers: ``T`` int64, the frame of each row counted from the first, rising.
        handles_px: ``T x P x 2`` float32, image pixels.
        targets_px: ``P x 2`` float32, image pixels; in a bake those of the last row.
        losses: ``T`` float32.
        distances_px: ``T`` float32, the farthest handle's distance to its target, image pixels.
        model_name: The file name of the checkpoint, for people.
        model_sha256: The SHA-256 of the checkpoint, lower-case hexadecimal. A latent is meaningless
            for another model.
        options: The fields of ``solving.options.DragOptions``; in a bake those of the first row.
        status: A value of ``solving.result.DragStatus``. In a bake ``done``, or ``stopped`` if rows
            at the end are missing.
        baked: What the rows of a bake have in addition; None in other tracks.
        first_number: The number of row 0 in the names of the frames' files.
        layers: The masked layers over the latents of the rows; None without any.
    """

    start: FloatArray
    edited: FloatArray
    numbers: npt.NDArray[np.int64]
    handles_px: FloatArray
    targets_px: FloatArray
    losses: FloatArray
    distances_px: FloatArray
    model_name: str
    model_sha256: str
    options: dict[str, Any]
    status: str
    baked: BakedRows | None = None
    first_number: int = 1
    layers: TrackLayers | None = None

    @classmethod
    def from_drag(
        cls,
        result: DragResult,
        options: DragOptions,
        *,
        model_name: str,
        model_sha256: str,
        first_number: int = 1,
    ) -> Track:
        """Return the track of a finished drag, with rows numbered from 0.

        Args:
            result: The result of the drag.
            options: The options of the drag.
            model_name: The file name of the checkpoint.
            model_sha256: The SHA-256 of the checkpoint.
            first_number: The number of row 0 in the names of the frames' files.
        """
        start, edited, layers = result.latents[0], result.latents[:, : result.num_layers], None
        if result.opened is not None and not result.opened.is_plain:
            pictures = [result.picture(row) for row in range(len(result.latents))]
            start, edited, layers = parts_of(pictures)
        return cls(
            layers=layers,
            start=start,
            edited=edited,
            numbers=np.arange(len(result.latents), dtype=np.int64),
            handles_px=result.handles_px,
            targets_px=result.targets_px,
            losses=result.losses,
            distances_px=result.distances_px,
            model_name=model_name,
            model_sha256=model_sha256,
            options=asdict(options),
            status=result.status.value,
            first_number=first_number,
        )

    @classmethod
    def from_pictures(
        cls,
        pictures: Sequence[Picture],
        *,
        model_name: str,
        model_sha256: str,
        first_number: int,
        start: FloatArray | None = None,
        solved: FloatArray | None = None,
    ) -> Track:
        """Return the track of pictures that no drag solved, without handles, options and losses.

        Args:
            pictures: One for each row.
            model_name: The file name of the checkpoint.
            model_sha256: The SHA-256 of the checkpoint.
            first_number: The number of row 0 in the names of the frames' files.
            start: ``num_ws x w_dim`` float32, or None for the latent of the first picture.
            solved: ``T x num_ws x w_dim`` float32, other latents whose changed layers ``edited``
                must have room for, or None.
        """
        start, edited, layers = parts_of(pictures, start, solved)
        rows = len(pictures)
        return cls(
            start=start,
            edited=edited,
            numbers=np.arange(rows, dtype=np.int64),
            handles_px=np.empty((rows, 0, 2), np.float32),
            targets_px=np.empty((0, 2), np.float32),
            losses=np.zeros(rows, np.float32),
            distances_px=np.zeros(rows, np.float32),
            model_name=model_name,
            model_sha256=model_sha256,
            options={},
            status="done",
            first_number=first_number,
            layers=layers,
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def latent(self, row: int) -> FloatArray:
        """Return the complete latent of a row, without layers, ``num_ws x w_dim`` float32."""
        whole: FloatArray = self._whole(self.edited[row : row + 1])[0]
        return whole

    def picture(self, row: int) -> Picture:
        """Return the picture of a row."""
        return Picture(self.latent(row), self._layers_of(row))

    def _layers_of(self, row: int) -> tuple[Layer, ...]:
        return () if self.layers is None else self.layers.of_row(row, self.start)

    def latents(self) -> FloatArray:
        """Return the complete latents of all rows, without layers, ``T x num_ws x w_dim``."""
        return self._whole(self.edited)

    def solved_latents(self) -> FloatArray:
        """Return the complete latents that a bake solved for, before smoothing.

        With an exact mask these are the latents inside the mask.
        """
        baked = self.baked
        return self._whole(baked.solved if baked and len(baked.solved) else self.edited)

    def solved_handles_px(self) -> FloatArray:
        """Return the handles in the images of ``solved_latents``, ``T x P x 2`` float32, pixels."""
        baked = self.baked
        return baked.solved_handles_px if baked and len(baked.solved) else self.handles_px

    def _whole(self, edited: FloatArray) -> FloatArray:
        """Return complete latents from their edited layers, ``N x L x w_dim``."""
        whole = np.repeat(self.start[None], len(edited), axis=0)
        whole[:, : edited.shape[1]] = edited
        return whole

    def to_bytes(self) -> bytes:
        """Return the content of the track's ``.npz`` file; equal tracks give equal bytes."""
        arrays: dict[str, Any] = {
            name: np.asarray(getattr(self, name), dtype=kind) for name, kind in TRACK_ARRAYS.items()
        }
        for name, kind in BAKED_ARRAYS.items():
            values = getattr(self.baked, name) if self.baked else ()
            arrays[name] = np.asarray(values, dtype=kind)
        has_turns = self.baked is not None and self.baked.turns.size > 0
        if self.baked is not None and has_turns:
            arrays["turns"] = np.asarray(self.baked.turns, dtype=np.float32)
        for name in ("model_name", "model_sha256", "status"):
            arrays[name] = np.array(getattr(self, name))
        if self.layers is not None:
            arrays |= self.layers.arrays()
        arrays["options"] = np.array(json.dumps(self.options, sort_keys=True))
        version = 4 if self.layers is not None else 3 if has_turns else 2
        arrays["format_version"] = np.array(version, dtype=np.int64)
        arrays["first_number"] = np.array(self.first_number, dtype=np.int64)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    def save(self, path: Path) -> None:
        """Write the track atomically.

        Raises:
            OSError: The file cannot be written.
        """
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Track:
        """Read a track file.

        Raises:
            OSError: The file cannot be read.
            TrackError: The file is not a track that this version can read.
        """
        try:
            return cls.from_bytes(read_plain_file(path, MOST_BYTES))
        except TrackError as error:
            raise TrackError(f"{path.name}: {error}") from None

    @classmethod
    def from_bytes(cls, data: bytes) -> Track:
        """Read a track from the content of its file, without running any code in it.

        Raises:
            TrackError: The bytes are not a track, are damaged, have sizes over the limits, or are
                of a newer version.
        """
        fields = read_track_arrays(data)
        version = fields.pop("format_version")
        if not 1 <= version <= FORMAT_VERSION:
            raise TrackError(
                f"the track has format version {version}, but this version reads 1 to "
                f"{FORMAT_VERSION}; update the extension"
            )
        baked = {name: fields.pop(name) for name in (*BAKED_ARRAYS, "turns") if name in fields}
        layers = [fields.pop(name) for name in LAYER_ARRAYS if name in fields]
        try:
            options = json.loads(fields["options"])
        except (ValueError, RecursionError):
            options = None
        if not isinstance(options, dict):
            raise TrackError("the track's options are not readable; it is damaged")
        fields["options"] = options
        has_baked = any(array.size for array in baked.values())
        track = cls(
            **fields,
            baked=BakedRows(**baked) if has_baked else None,
            layers=TrackLayers(*layers) if layers else None,
        )
        track.check()
        return track

    def check(self) -> None:
        """Check the sizes, and each shape against the others.

        Raises:
            TrackError: A size is over its limit, or the arrays do not fit together.
        """
        if self.start.ndim != 2 or self.edited.ndim != 3 or self.targets_px.ndim != 2:
            raise TrackError("the track's latents or targets are not tables; it is damaged")
        rows, layers, w_dim = self.edited.shape
        points = len(self.targets_px)
        sizes = (
            ("rows", rows, 1, _MAX_ROWS),
            ("latent layers", len(self.start), 1, _MAX_LATENT),
            ("latent values", self.start.shape[1], 1, _MAX_LATENT),
            ("edited layers", layers, 0, len(self.start)),
            ("handles", points, 0, _MAX_POINTS),
        )
        for name, found, least, most in sizes:
            if not least <= found <= most:
                raise TrackError(f"the track has {found} {name}, expected {least} to {most}")
        # Layers that no row changes are stored once, but ``latents`` repeats them in every row.
        if rows * self.start.nbytes > MOST_BYTES:
            raise TrackError(f"the track's latents are over the limit of {MOST_BYTES >> 20} MiB")
        expected: dict[str, tuple[int, ...]] = {
            "start": (len(self.start), w_dim),
            "edited": self.edited.shape,
            "numbers": (rows,),
            "handles_px": (rows, points, 2),
            "targets_px": (points, 2),
            "losses": (rows,),
            "distances_px": (rows,),
        }
        check_arrays(self, expected)
        self._check_numbers(rows)
        if self.layers is not None:
            problem = self.layers.problem(rows, self.start.shape)
            if problem:
                raise TrackError(f"the track is damaged: {problem}")
        if self.baked is None:
            return
        solved_rows = rows if len(self.baked.solved) else 0
        expected = {
            "keys": (rows, 32),
            "steps": (rows,),
            "statuses": (rows,),
            "solved": (solved_rows, layers, w_dim),
            "solved_handles_px": (solved_rows, points, 2),
        }
        if self.baked.turns.size:
            expected["turns"] = (rows, points, 2)
        check_arrays(self.baked, expected)
        if int(self.baked.statuses.max()) >= len(STATUSES):
            raise TrackError("the track's statuses are unknown; it is damaged")

    def _check_numbers(self, rows: int) -> None:
        """Check that the rows and their files have numbers that Blender has frames for."""
        first, numbers = self.first_number, self.numbers
        last = first + max(rows - 1, int(numbers[-1]))
        if first < -GREATEST_FRAME or last > GREATEST_FRAME:
            raise TrackError(
                f"the track has frames {first} to {last}, but Blender's are from {-GREATEST_FRAME} "
                f"to {GREATEST_FRAME}"
            )
        if numbers[0] < 0 or (numbers[1:] <= numbers[:-1]).any():
            raise TrackError("the track's numbers do not rise from 0 on; it is damaged")


def parts_of(
    pictures: Sequence[Picture],
    start: FloatArray | None = None,
    solved: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, TrackLayers | None]:
    """Return ``start``, ``edited`` and ``layers`` of the track of pictures; see ``Track``."""
    latents = np.stack([picture.latent for picture in pictures])
    start = latents[0] if start is None else start
    others = [latents] if solved is None else [latents, solved]
    changed = np.flatnonzero(np.any([(one != start).any(axis=(0, 2)) for one in others], axis=0))
    count = int(changed[-1]) + 1 if len(changed) else 0
    return start, latents[:, :count], TrackLayers.of(pictures, start)


def rows_of_part(track: Track, first_row: int, row_count: int) -> range:
    """Return the rows of a part of a track.

    Args:
        track: The track.
        first_row: The first row, 0 or more.
        row_count: How many rows, 0 for all from ``first_row`` on.

    Raises:
        RequestError: The track does not have all of these rows.
    """
    end = first_row + row_count if row_count else len(track)
    if first_row >= len(track) or end > len(track):
        raise RequestError(
            f"rows {first_row} to {max(end, first_row + 1) - 1} of the track were asked for, but "
            f"it has rows 0 to {len(track) - 1}"
        )
    return range(first_row, end)
