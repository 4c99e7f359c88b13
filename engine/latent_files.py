# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents that other programs have saved: NumPy's ``.npz`` and ``.npy``, and files of torch.

The content of a file decides what it is, not its name; nothing in it is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from draggan_blender.protocol.plain_arrays import PlainArraysError, read_array, read_arrays
from draggan_blender.protocol.plain_files import read_plain_file
from stylegan2 import ModelError, read_latent
from stylegan2.checkpoints.byte_source import MemoryBytes
from stylegan2.checkpoints.latent_names import latent_name
from stylegan2.checkpoints.refusal import Refusal
from stylegan2.checkpoints.sniff import EXPECTED
from stylegan2.checkpoints.zip_directory import read_directory

from .arrays import FloatArray
from .errors import RequestError

_MOST_BYTES = 64 << 20
_EXPECTED = "a saved latent (.npz, .npy or .pt) is expected"
_NPY, _ZIP = b"\x93NUMPY", b"PK"


def latent_from_file(path: Path, num_ws: int, w_dim: int) -> FloatArray:
    """Return the latent in a file, for a model.

    Args:
        path: The file: ``projected_w.npz`` of the official projector, an ``.npy`` array, or the
            ``.pt`` file of a pivot or another projector.
        num_ws: How many w vectors the model takes.
        w_dim: How many values each has.

    Returns:
        ``num_ws x w_dim`` float32. A file with one w vector gives it in every row.

    Raises:
        RequestError: The file cannot be read or holds no latent, one that is not finite, or the
            latents of several images or of another model.
    """
    values = _values(path)
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    single = values.size == w_dim and values.shape[-1:] == (w_dim,)
    if not single and values.shape != (num_ws, w_dim):
        raise RequestError(_wrong_shape(path, values, num_ws, w_dim))
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
        latent = np.asarray(values, dtype=np.float32).reshape(-1, w_dim)
    if not np.isfinite(latent).all():
        raise RequestError(f"{path.name} has values that are not finite numbers; save it again")
    return np.ascontiguousarray(np.broadcast_to(latent, (num_ws, w_dim)))


def _values(path: Path) -> NDArray[Any]:
    try:
        data = read_plain_file(path, _MOST_BYTES)
        if data.startswith(_NPY):
            return _numbers(read_array(data))
        if data.startswith(_ZIP) and _has_arrays(data):
            return _numbers(_chosen(read_arrays(data)))
        return read_latent(path).numpy()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RequestError(f"the latent {path} cannot be read: {reason}") from None
    except PlainArraysError as error:
        raise RequestError(f"{path.name} is not a saved latent: {error}") from None
    except ModelError as error:
        said = error.message.rstrip(".")
        raise RequestError(said.replace(EXPECTED, _EXPECTED)) from None


def _has_arrays(data: bytes) -> bool:
    """Return whether a zip archive is NumPy's, by its directory and not by what is in its files."""
    try:
        return any(name.endswith(".npy") for name in read_directory(MemoryBytes(data)))
    except Refusal:
        return False  # the reader of torch's files says what is wrong


def _chosen(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    name = latent_name(arrays)
    found = list(arrays.values()) if name is None else [arrays[name]]
    if len(found) != 1:
        names = ", ".join(ascii(name)[1:-1][:20] for name in list(arrays)[:6])
        raise PlainArraysError(f"one array named w is expected, and it has {names or 'none'}")
    return found[0]


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "fiu":
        raise PlainArraysError(f"numbers are expected, and it has {values.dtype}")
    return values


def _wrong_shape(path: Path, values: NDArray[Any], num_ws: int, w_dim: int) -> str:
    shape = " x ".join(map(str, values.shape))
    if values.ndim == 3 and values.shape[1:] in ((num_ws, w_dim), (1, w_dim)):
        return f"{path.name} holds the latents of {len(values)} images; save one of them alone"
    return (
        f"{path.name} has {shape} values, and this model takes {num_ws} x {w_dim}; choose the "
        "model that it was made with"
    )
