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

from .arrays import FloatArray
from .errors import RequestError

_MOST_BYTES = 64 << 20
_NPY, _ZIP = b"\x93NUMPY", b"PK"
# The names of the array in an ``.npz`` file: the official projector's, and those of others.
_NAMES = ("w", "ws", "latent", "latents", "w_plus", "projected_w")


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
    latent = np.asarray(values, dtype=np.float32).reshape(-1, w_dim)
    if not np.isfinite(latent).all():
        raise RequestError(f"{path.name} has values that are not finite numbers; save it again")
    return np.ascontiguousarray(np.broadcast_to(latent, (num_ws, w_dim)))


def _values(path: Path) -> NDArray[Any]:
    try:
        data = read_plain_file(path, _MOST_BYTES)
        if data.startswith(_NPY):
            return _numbers(read_array(data))
        if data.startswith(_ZIP) and b".npy" in data:
            return _numbers(_chosen(read_arrays(data)))
        return read_latent(path).numpy()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RequestError(f"the latent {path} cannot be read: {reason}") from None
    except PlainArraysError as error:
        raise RequestError(f"{path.name} is not a saved latent: {error}") from None
    except ModelError as error:
        raise RequestError(error.message.rstrip(".")) from None


def _chosen(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    found = [arrays[name] for name in _NAMES if name in arrays] or list(arrays.values())
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
