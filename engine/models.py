# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator in use: found by name or path, loaded once, kept until another is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stylegan2 import Generator, load_generator, sha256_of
from stylegan2.models import builtin_model_path

from .arrays import ByteArray, FloatArray
from .errors import RequestError
from .inputs import device_of


def model_path(name_or_path: str) -> Path:
    """The file of a built-in model's name (`suzanne`), or of a path."""
    path = builtin_model_path(name_or_path) or Path(name_or_path)
    try:
        return path.expanduser()
    except RuntimeError:  # `~name` of nobody: a file may be called so, and loading says if not
        return path


@dataclass(frozen=True)
class LoadedModel:
    """A generator, and which file it came from.

    Attributes:
        sha256: of the file, lower-case hexadecimal.
    """

    generator: Generator
    path: Path
    sha256: str

    def require(self, sha256: str) -> None:
        """Insist on a certain file; an empty `sha256` accepts any.

        Raises:
            RequestError: the file is another one.
        """
        if sha256 and sha256.lower() != self.sha256:
            raise RequestError(
                f"{self.path.name} is not the model that this image was made with: its SHA-256 "
                f"begins with {self.sha256[:12]}, expected {sha256[:12]}; choose the right file"
            )

    def latent(self, data: bytes) -> FloatArray:
        """A latent `num_ws x w_dim` float32 from the bytes of the wire.

        Raises:
            RequestError: it has not the size that the model needs.
        """
        latents = self.latents(data)
        if len(latents) != 1:
            raise self._wrong_size(data)
        latent: FloatArray = latents[0]
        return latent

    def latents(self, data: bytes) -> FloatArray:
        """Any number of latents, `T x num_ws x w_dim` float32, likewise.

        Raises:
            RequestError: they have not the size that the model needs.
        """
        rows, columns = self.generator.num_ws, self.generator.w_dim
        if not data or len(data) % (rows * columns * 4):
            raise self._wrong_size(data)
        return np.frombuffer(data, dtype="<f4").reshape(-1, rows, columns).astype(np.float32)

    def _wrong_size(self, data: bytes) -> RequestError:
        rows, columns = self.generator.num_ws, self.generator.w_dim
        return RequestError(
            f"the latent has {len(data)} bytes, but {self.path.name} needs "
            f"{rows} x {columns} x 4; it belongs to another model"
        )

    def masks(self, data: bytes) -> tuple[ByteArray, ...]:
        """Masks `H x W` uint8 of the image's size, one after the other, from the wire's bytes.

        Raises:
            RequestError: they have another size.
        """
        _, height, width = self.generator.img_shape
        if len(data) % (height * width):
            raise RequestError(
                f"the mask has {len(data)} pixels, but the image of {self.path.name} has "
                f"{width} x {height}; make the mask again"
            )
        return tuple(np.frombuffer(data, dtype=np.uint8).reshape(-1, height, width))


class ModelCache:
    """Holds the last model, as long as its file does not change."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._model: LoadedModel | None = None
        self._stamp: tuple[Path, int, int] | None = None

    @property
    def current(self) -> LoadedModel | None:
        """The model in memory."""
        return self._model

    def holds(self, name_or_path: str) -> bool:
        """Whether the model is in memory and its file is still the same."""
        stamp = _stamp(model_path(name_or_path))
        return self._model is not None and stamp is not None and stamp == self._stamp

    def get(self, name_or_path: str) -> tuple[LoadedModel, bool]:
        """The model, and whether it was read anew.

        Raises:
            ModelError: the file is not a model that can be read.
        """
        path = model_path(name_or_path)
        stamp = _stamp(path)
        if self._model is not None and self.holds(name_or_path):
            return self._model, False
        # The old one goes first: two models at once may not fit the memory.
        self._model = self._stamp = None
        generator = load_generator(path, self._device)
        self._model = LoadedModel(generator, path, sha256_of(path))
        self._stamp = stamp
        return self._model, True


def _stamp(path: Path) -> tuple[Path, int, int] | None:
    """What tells a file from its replacement; None if there is no file (loading then says why)."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a path with a zero byte
        return None
    return path, status.st_mtime_ns, status.st_size


@torch.no_grad()
def sample_latent(generator: Generator, seed: int, truncation_psi: float) -> FloatArray:
    """The latent of a seed, as every tool of the field finds it.

    `z = numpy.random.RandomState(seed).randn(1, z_dim)`, then the mapping with truncation, which is
    applied here and never again.  A model with labels gets the all-zero label.

    Args:
        seed: 0 to 2**32 - 1.
        truncation_psi: 1 for none, 0 for the average image.

    Returns:
        `num_ws x w_dim` float32.

    Raises:
        RequestError: seed or truncation are out of range.
    """
    if not 0 <= seed < 2**32:
        raise RequestError(f"a seed is a number from 0 to 4294967295, not {seed}")
    if not -2 <= truncation_psi <= 2:
        raise RequestError(f"the truncation must be from -2 to 2, not {truncation_psi}")
    device = device_of(generator)
    z = np.random.RandomState(seed).randn(1, generator.z_dim).astype(np.float32)
    label = torch.zeros(1, generator.c_dim, device=device) if generator.c_dim else None
    ws = generator.mapping(torch.from_numpy(z).to(device), label, truncation_psi=truncation_psi)
    latent: FloatArray = ws[0].cpu().numpy()
    return latent
