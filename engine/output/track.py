# SPDX-License-Identifier: GPL-3.0-or-later
"""The track: the solved result of a drag or a bake, from which every frame can be rendered again.

One row for each frame of a sequence.  A file is a `.npz` of plain arrays.  The layers
of the latent that no row changes are stored once.  A track travels: it comes back from a .blend or
from another machine, so that reading trusts nothing.

The track of a bake also has what another bake can take over (`BakedRows`).
"""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from draggan_blender.protocol.atomic_files import write_atomically

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..solving.options import DragOptions
from ..solving.result import STATUSES, DragResult

FORMAT_VERSION = 2
"""Rises with every change of the file: 1, the first; 2, what a bake adds."""

_MAX_BYTES = 1 << 30
_MAX_ROWS = 1_000_000
_MAX_POINTS = 10_000
_MAX_LATENT = 65_536
_ARRAYS = {
    "start": np.float32,
    "edited": np.float32,
    "numbers": np.int64,
    "handles_px": np.float32,
    "targets_px": np.float32,
    "losses": np.float32,
    "distances_px": np.float32,
}
_TEXTS = ("model_name", "model_sha256", "options", "status")
_BAKED_ARRAYS = {
    "keys": np.uint8,
    "steps": np.int64,
    "statuses": np.uint8,
    "solved": np.float32,
    "solved_handles_px": np.float32,
}
_FIRST_VERSION = {*_ARRAYS, *_TEXTS, "format_version"}
_SECOND_VERSION = {*_FIRST_VERSION, *_BAKED_ARRAYS, "first_number"}
_READ_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, MemoryError),
    *(ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, tokenize.TokenError),
)
"""Everything that zip and npy readers raise on bytes that are neither."""


class TrackError(RequestError):
    """The bytes are not a track that this version reads; the message says what they are."""


@dataclass(frozen=True, kw_only=True)
class BakedRows:
    """What the T rows of a bake have beside those of a drag.

    Attributes:
        keys: `T x 32` uint8, see `animated_edit`.
        steps: `T` int64.
        statuses: `T` uint8, indices into `solved_row.STATUSES`.
        solved: `S x L x w_dim` float32, the layers as they were before the track was smoothed;
            no rows where it was not.
        solved_handles_px: `S x P x 2` float32, likewise.
    """

    keys: ByteArray
    steps: npt.NDArray[np.int64]
    statuses: ByteArray
    solved: FloatArray
    solved_handles_px: FloatArray


@dataclass(frozen=True, kw_only=True)
class Track:
    """T rows of a drag or a bake of P handles.

    Attributes:
        start: `num_ws x w_dim` float32, the latent that the drag began with, or that of a bake's
            image without the edit.
        edited: `T x L x w_dim` float32, the first L layers of each row's latent.
        numbers: `T` int64, each row's frame counted from the drag's first, rising.
        handles_px: `T x P x 2` float32, image pixels.
        targets_px: `P x 2` float32, image pixels; a bake's last.
        losses: `T` float32.
        distances_px: `T` float32, the farthest handle's distance to its target.
        model_name: the checkpoint's file name, for people.
        model_sha256: its SHA-256, lower-case hexadecimal; a latent means nothing to another model.
        options: the fields of `DragOptions`; a bake's first.
        status: a value of `DragStatus`; of a bake `done`, or `stopped` before its last frame.
        baked: what the rows of a bake have beside; None of a drag.
        first_number: the number of row 0 in the names of the frames' files.
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

    @classmethod
    def from_drag(
        cls,
        result: DragResult,
        targets_px: FloatArray,
        options: DragOptions,
        *,
        model_name: str,
        model_sha256: str,
        first_number: int = 1,
    ) -> Track:
        """The track of a finished drag, its rows numbered from 0."""
        return cls(
            start=result.latents[0],
            edited=result.latents[:, : result.num_layers],
            numbers=np.arange(len(result.latents), dtype=np.int64),
            handles_px=result.handles_px,
            targets_px=np.array(targets_px, dtype=np.float32),
            losses=result.losses,
            distances_px=result.distances_px,
            model_name=model_name,
            model_sha256=model_sha256,
            options=asdict(options),
            status=result.status.value,
            first_number=first_number,
        )

    @classmethod
    def from_latents(
        cls,
        latents: FloatArray,
        *,
        model_name: str,
        model_sha256: str,
        first_number: int,
        start: FloatArray | None = None,
    ) -> Track:
        """The track of latents that come from elsewhere: without handles, options and losses.

        Args:
            latents: `T x num_ws x w_dim` float32.
            start: `num_ws x w_dim` float32; None for the first of them.
        """
        start = latents[0] if start is None else start
        changed = np.flatnonzero((latents != start).any(axis=(0, 2)))
        layers = int(changed[-1]) + 1 if len(changed) else 0
        rows = len(latents)
        return cls(
            start=start,
            edited=latents[:, :layers],
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
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def latent(self, row: int) -> FloatArray:
        """A row's whole latent, `num_ws x w_dim` float32."""
        whole: FloatArray = self._whole(self.edited[row : row + 1])[0]
        return whole

    def latents(self) -> FloatArray:
        """Every row's whole latent, `T x num_ws x w_dim` float32."""
        return self._whole(self.edited)

    def solved_latents(self) -> FloatArray:
        """The same before the track was smoothed."""
        baked = self.baked
        return self._whole(baked.solved if baked and len(baked.solved) else self.edited)

    def solved_handles_px(self) -> FloatArray:
        """Where the handles are in the images of `solved_latents`, `T x P x 2` float32."""
        baked = self.baked
        return baked.solved_handles_px if baked and len(baked.solved) else self.handles_px

    def _whole(self, edited: FloatArray) -> FloatArray:
        """Layers `N x L x w_dim` and those that no row changes."""
        whole = np.repeat(self.start[None], len(edited), axis=0)
        whole[:, : edited.shape[1]] = edited
        return whole

    def to_bytes(self) -> bytes:
        """The content of a `.npz` file."""
        arrays: dict[str, Any] = {
            name: np.asarray(getattr(self, name), dtype=kind) for name, kind in _ARRAYS.items()
        }
        for name, kind in _BAKED_ARRAYS.items():
            values = getattr(self.baked, name) if self.baked else ()
            arrays[name] = np.asarray(values, dtype=kind)
        for name in ("model_name", "model_sha256", "status"):
            arrays[name] = np.array(getattr(self, name))
        arrays["options"] = np.array(json.dumps(self.options, sort_keys=True))
        arrays["format_version"] = np.array(FORMAT_VERSION, dtype=np.int64)
        arrays["first_number"] = np.array(self.first_number, dtype=np.int64)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    def save(self, path: Path) -> None:
        """Write the track atomically.

        Raises:
            OSError: the file cannot be written.
        """
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Track:
        """Read a track file.

        Raises:
            OSError: the file cannot be read.
            TrackError: it is not a track.
        """
        try:
            return cls.from_bytes(path.read_bytes())
        except TrackError as error:
            raise TrackError(f"{path.name}: {error}") from None

    @classmethod
    def from_bytes(cls, data: bytes) -> Track:
        """Read a track; no code in it is run, and every size is checked before it is believed.

        Raises:
            TrackError: the bytes are something else, damaged, or of a newer version.
        """
        fields = _read_arrays(data)
        version = fields.pop("format_version")
        if not 1 <= version <= FORMAT_VERSION:
            raise TrackError(
                f"the track has format version {version}, this version reads 1 to "
                f"{FORMAT_VERSION}; update the extension"
            )
        baked = {name: fields.pop(name) for name in _BAKED_ARRAYS if name in fields}
        try:
            options = json.loads(fields["options"])
        except ValueError:
            options = None
        if not isinstance(options, dict):
            raise TrackError("the track's options are not readable; it is damaged")
        fields["options"] = options
        has_baked = any(array.size for array in baked.values())
        track = cls(**fields, baked=BakedRows(**baked) if has_baked else None)
        track._check()
        return track

    def _check(self) -> None:
        """Compare every shape with the others."""
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
                raise TrackError(f"the track has {found} {name}, {least} to {most} are possible")
        # Layers that no row changes are stored once, but `latents` repeats them in every row.
        if rows * self.start.nbytes > _MAX_BYTES:
            raise TrackError(f"the track's latents are over the limit of {_MAX_BYTES >> 20} MiB")
        expected: dict[str, tuple[int, ...]] = {
            "start": (len(self.start), w_dim),
            "edited": self.edited.shape,
            "numbers": (rows,),
            "handles_px": (rows, points, 2),
            "targets_px": (points, 2),
            "losses": (rows,),
            "distances_px": (rows,),
        }
        _check_arrays(self, expected)
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
        _check_arrays(self.baked, expected)
        if int(self.baked.statuses.max()) >= len(STATUSES):
            raise TrackError("the track's statuses are unknown; it is damaged")


def _check_arrays(owner: Track | BakedRows, expected: dict[str, tuple[int, ...]]) -> None:
    """Compare shapes, and insist on finite latents and points.

    Losses and distances may be anything: no frame depends on them.
    """
    for name, shape in expected.items():
        array = getattr(owner, name)
        if array.shape != shape:
            raise TrackError(f"the track's {name} has shape {array.shape}, not {shape}")
        if name not in ("losses", "distances_px") and not np.isfinite(array).all():
            raise TrackError(f"the track's {name} holds values that are not finite")


def _read_arrays(data: bytes) -> dict[str, Any]:
    """The members of the archive, with their types checked and texts as `str`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if set(infos) not in (_FIRST_VERSION, _SECOND_VERSION):
                names = ", ".join(sorted(_SECOND_VERSION ^ set(infos))[:5])
                raise TrackError(f"this is an archive, but not a track: see {names}")
            if sum(info.file_size for info in infos.values()) > _MAX_BYTES:
                raise TrackError(f"the track is over the limit of {_MAX_BYTES >> 20} MiB")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: _checked(name, stored[name]) for name in infos}
    except TrackError:
        raise
    except _READ_ERRORS as error:
        raise TrackError(f"this is not a track file, or a damaged one ({error})") from None


def _checked(name: str, array: npt.NDArray[Any]) -> Any:
    kinds = {**_ARRAYS, **_BAKED_ARRAYS}
    if name in kinds:
        if array.dtype != kinds[name]:
            raise TrackError(f"the track's {name} is {array.dtype}, not {kinds[name].__name__}")
        return array
    kind = "U" if name in _TEXTS else "i"
    if array.shape != () or array.dtype.kind != kind:
        raise TrackError(f"the track's {name} is {array.dtype} of shape {array.shape}")
    return str(array) if name in _TEXTS else int(array)


def rows_of_part(track: Track, first_row: int, row_count: int) -> range:
    """The rows of a part of a track.

    Args:
        first_row: 0 or more.
        row_count: 0 for all the rest.

    Raises:
        RequestError: the track has not all of these rows.
    """
    end = first_row + row_count if row_count else len(track)
    if first_row >= len(track) or end > len(track):
        raise RequestError(
            f"rows {first_row} to {max(end, first_row + 1) - 1} of the track were asked for, but "
            f"it has rows 0 to {len(track) - 1}"
        )
    return range(first_row, end)
