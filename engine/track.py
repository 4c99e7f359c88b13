# SPDX-License-Identifier: GPL-3.0-or-later
"""The track: the solved result of a drag, from which every frame can be rendered again.

One row for each frame of a sequence.  A file is a `.npz` of plain arrays.  The layers
of the latent that no row changes are stored once.  A track travels: it comes back from a .blend or
from another machine, so that reading trusts nothing.
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

from .arrays import FloatArray
from .drag import DragResult
from .drag_options import DragOptions
from .errors import RequestError
from .frame_writer import write_bytes_atomically

FORMAT_VERSION = 1
"""Rises with every change of the file: 1, the first."""

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
_READ_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, MemoryError),
    *(ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, tokenize.TokenError),
)
"""Everything that zip and npy readers raise on bytes that are neither."""


class TrackError(RequestError):
    """The bytes are not a track that this version reads; the message says what they are."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """T rows of a drag of P handles.

    Attributes:
        start: `num_ws x w_dim` float32, the latent that the drag began with.
        edited: `T x L x w_dim` float32, the first L layers of each row's latent.
        numbers: `T` int64, each row's frame counted from the drag's first, rising.
        handles_px: `T x P x 2` float32, image pixels.
        targets_px: `P x 2` float32, image pixels.
        losses: `T` float32.
        distances_px: `T` float32, the farthest handle's distance to its target.
        model_name: the checkpoint's file name, for people.
        model_sha256: its SHA-256, lower-case hexadecimal; a latent means nothing to another model.
        options: the fields of `DragOptions`.
        status: a value of `DragStatus`.
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

    @classmethod
    def from_drag(
        cls,
        result: DragResult,
        targets_px: FloatArray,
        options: DragOptions,
        *,
        model_name: str,
        model_sha256: str,
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
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def latents(self) -> FloatArray:
        """Every row's whole latent, `T x num_ws x w_dim` float32."""
        whole = np.repeat(self.start[None], len(self), axis=0)
        whole[:, : self.edited.shape[1]] = self.edited
        return whole

    def to_bytes(self) -> bytes:
        """The content of a `.npz` file."""
        arrays: dict[str, Any] = {
            name: np.asarray(getattr(self, name), dtype=kind) for name, kind in _ARRAYS.items()
        }
        for name in ("model_name", "model_sha256", "status"):
            arrays[name] = np.array(getattr(self, name))
        arrays["options"] = np.array(json.dumps(self.options, sort_keys=True))
        arrays["format_version"] = np.array(FORMAT_VERSION, dtype=np.int64)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    def save(self, path: Path) -> None:
        """Write the track atomically.

        Raises:
            OSError: the file cannot be written.
        """
        write_bytes_atomically(path, self.to_bytes())

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
        if version != FORMAT_VERSION:
            raise TrackError(
                f"the track has format version {version}, this version reads {FORMAT_VERSION}; "
                "update the extension"
            )
        try:
            options = json.loads(fields["options"])
        except ValueError:
            options = None
        if not isinstance(options, dict):
            raise TrackError("the track's options are not readable; it is damaged")
        fields["options"] = options
        track = cls(**fields)
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
        expected = {
            "start": (len(self.start), w_dim),
            "numbers": (rows,),
            "handles_px": (rows, points, 2),
            "targets_px": (points, 2),
            "losses": (rows,),
            "distances_px": (rows,),
        }
        for name, shape in expected.items():
            found_shape = getattr(self, name).shape
            if found_shape != shape:
                raise TrackError(f"the track's {name} has shape {found_shape}, not {shape}")
        for name in ("start", "edited", "handles_px", "targets_px"):
            if not np.isfinite(getattr(self, name)).all():
                raise TrackError(f"the track's {name} holds values that are not finite")


def _read_arrays(data: bytes) -> dict[str, Any]:
    """The members of the archive, with their types checked and texts as `str`."""
    wanted = {*_ARRAYS, *_TEXTS, "format_version"}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if set(infos) != wanted:
                names = ", ".join(sorted(wanted ^ set(infos))[:5])
                raise TrackError(f"this is an archive, but not a track: see {names}")
            if sum(info.file_size for info in infos.values()) > _MAX_BYTES:
                raise TrackError(f"the track is over the limit of {_MAX_BYTES >> 20} MiB")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: _checked(name, stored[name]) for name in wanted}
    except TrackError:
        raise
    except _READ_ERRORS as error:
        raise TrackError(f"this is not a track file, or a damaged one ({error})") from None


def _checked(name: str, array: npt.NDArray[Any]) -> Any:
    if name in _ARRAYS:
        if array.dtype != _ARRAYS[name]:
            raise TrackError(f"the track's {name} is {array.dtype}, not {_ARRAYS[name].__name__}")
        return array
    kind = "U" if name in _TEXTS else "i"
    if array.shape != () or array.dtype.kind != kind:
        raise TrackError(f"the track's {name} is {array.dtype} of shape {array.shape}")
    return str(array) if name in _TEXTS else int(array)
