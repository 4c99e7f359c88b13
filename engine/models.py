# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads generators by name or path, keeps the last one in memory, and samples latents.

A path may be that of a difference file as well: the model is then the one that was tuned to a
picture, and its hash is that of the difference file. So an image of a tuned model is an image like
every other, in drags, bakes, renders and farms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from draggan_blender.protocol.layering import Layer
from draggan_blender.protocol.pictures import NO_LABEL, decode_picture
from stylegan2 import (
    Generator,
    ModelError,
    ModelErrorKind,
    load_generator,
    original_sha256,
    sha256_of,
)
from stylegan2.models import builtin_model_path

from .arrays import ByteArray, FloatArray
from .differences import is_difference, open_difference
from .errors import RequestError
from .inputs import device_of
from .pictures import Picture

# How many latents of a model are checked when it is opened.
_SEEDS_CHECKED = 4
# Also what is left of an address after it was taken for a path.
_ADDRESS = re.compile(r"(https?|ftp|s3|gs|hf):/", re.IGNORECASE)


def model_path(name_or_path: str) -> Path:
    """Return the file of a built-in model (``suzanne``) or of a path, with ``~`` expanded.

    Raises:
        ModelError: It is an address in the web.
    """
    if _ADDRESS.match(name_or_path):
        raise ModelError(
            ModelErrorKind.MISSING,
            f"{name_or_path} is an address, and nothing is downloaded; download the file, and "
            "choose it where it is on this computer",
        )
    path = builtin_model_path(name_or_path) or Path(name_or_path)
    try:
        return path.expanduser()
    except RuntimeError:
        # ``~name`` without such a user: a file can have this name, and loading reports if it is
        # missing.
        return path


@dataclass(frozen=True)
class LoadedModel:
    """A generator and the file that it was loaded from.

    Attributes:
        generator: Frozen, on the device that it was loaded for.
        path: The file.
        sha256: The SHA-256 of the file, in lower-case hexadecimal.
        original_sha256: That of the file that it was converted from; empty if it was not.
    """

    generator: Generator
    path: Path
    sha256: str
    original_sha256: str = ""

    def require_finite(self) -> None:
        """Refuse a model whose latents are not finite: nothing can be made with it.

        Raises:
            ModelError: A latent is not finite.
        """
        ws = [sample_latent(self.generator, seed, 1.0) for seed in range(_SEEDS_CHECKED)]
        if not np.isfinite(ws).all():
            raise self._overflow("latents")

    def require_image(self) -> None:
        """Refuse a model whose image is not finite: it would be black. It renders one image.

        Raises:
            ModelError: A value of the image of seed 0 is not finite.
        """
        device = device_of(self.generator)
        ws = torch.from_numpy(sample_latent(self.generator, 0, 1.0)[None]).to(device)
        with torch.no_grad():
            image = self.generator.synthesis(ws, noise_mode="const")
        if not bool(image.isfinite().all()):
            raise self._overflow("images")

    def _overflow(self, what: str) -> ModelError:
        return ModelError(
            ModelErrorKind.DAMAGED,
            f"{self.path.name} was read, but its {what} hold values that are not finite, as of a "
            "training that failed; choose another checkpoint of the model",
        )

    def require(self, sha256: str) -> None:
        """Raise ``RequestError`` if the model is not the expected file.

        Args:
            sha256: The expected SHA-256, in hexadecimal of either case; empty accepts any file. A
                file that was converted from the expected one has the same weights.

        Raises:
            RequestError: The file is another one.
        """
        if sha256 and sha256.lower() not in (self.sha256, self.original_sha256):
            raise RequestError(
                f"{self.path.name} is not the model that this image was made with: its SHA-256 "
                f"begins with {self.sha256[:12]}, expected {sha256[:12]}; choose the right file"
            )

    def latent(self, data: bytes) -> FloatArray:
        """Return one latent from the bytes of a message.

        Args:
            data: Little-endian float32 values.

        Returns:
            ``num_ws x w_dim`` float32.

        Raises:
            RequestError: The size of the data does not match the model.
        """
        latents = self.latents(data)
        if len(latents) != 1:
            raise self._wrong_size(data)
        latent: FloatArray = latents[0]
        return latent

    def latents(self, data: bytes) -> FloatArray:
        """Return one or more latents from the bytes of a message.

        Args:
            data: Little-endian float32 values, one latent after the other.

        Returns:
            ``T x num_ws x w_dim`` float32, T >= 1.

        Raises:
            RequestError: The size of the data does not match the model, or there is no data.
        """
        rows, columns = self.generator.num_ws, self.generator.w_dim
        if not data or len(data) % (rows * columns * 4):
            raise self._wrong_size(data)
        return np.frombuffer(data, dtype="<f4").reshape(-1, rows, columns).astype(np.float32)

    def picture(self, data: bytes) -> Picture:
        """Return a picture from the bytes of a message; see ``protocol.pictures``.

        Raises:
            RequestError: The bytes are damaged, or a latent or a mask does not fit the model.
        """
        try:
            found = decode_picture(data)
        except ValueError as error:
            raise RequestError(f"{error}; make the image again") from None
        _, height, width = self.generator.img_shape
        layers = []
        for layer in found.layers:
            if (layer.width, layer.height) != (width, height):
                raise RequestError(
                    f"a mask of the image has {layer.width} x {layer.height} px, but the images of "
                    f"{self.path.name} have {width} x {height}; it belongs to another model"
                )
            (mask,) = self.masks(layer.mask)
            latent = self.latent(layer.latent)
            layers.append(
                Layer(mask=mask, softness=layer.softness, latent=latent, clipped=layer.clipped)
            )
        return Picture(self.latent(found.latent), tuple(layers))

    def _wrong_size(self, data: bytes) -> RequestError:
        rows, columns = self.generator.num_ws, self.generator.w_dim
        return RequestError(
            f"the latent has {len(data)} bytes, but {self.path.name} needs "
            f"{rows} x {columns} x 4; it belongs to another model"
        )

    def masks(self, data: bytes) -> tuple[ByteArray, ...]:
        """Return the masks in the bytes of a message.

        Args:
            data: One byte per pixel, row by row, one mask after the other; may be empty.

        Returns:
            Read-only arrays ``H x W`` uint8 of the image's size; 255 = may change, 0 = fixed.

        Raises:
            RequestError: The size of the data is not a multiple of the image's size.
        """
        _, height, width = self.generator.img_shape
        if len(data) % (height * width):
            raise RequestError(
                f"the mask has {len(data)} pixels, but the image of {self.path.name} has "
                f"{width} x {height}; create the mask again"
            )
        return tuple(np.frombuffer(data, dtype=np.uint8).reshape(-1, height, width))


class ModelCache:
    """The last loaded model, reused until another is requested or its file changes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._model: LoadedModel | None = None
        self._stamp: tuple[Path, int, int] | None = None
        # Whether an image of the model was finite.
        self._is_seen = False

    @property
    def current(self) -> LoadedModel | None:
        """The model in memory, or None before the first one is loaded."""
        return self._model

    def holds(self, name_or_path: str) -> bool:
        """Return whether a model is in memory and its file has not changed since."""
        stamp = _stamp(model_path(name_or_path))
        return self._model is not None and stamp is not None and stamp == self._stamp

    def get(self, name_or_path: str) -> LoadedModel:
        """Return a model: the one in memory, unless another is asked for or its file was changed.

        Args:
            name_or_path: A built-in model's name or a path, see ``model_path``.

        Raises:
            ModelError: The file cannot be read as a model, or its latents are not finite.
            RequestError: A difference file is damaged, or the model that it changes is missing.
        """
        path = model_path(name_or_path)
        stamp = _stamp(path)
        if self._model is not None and self.holds(name_or_path):
            return self._model
        # Release the old model first: two models may not fit into memory.
        self._model, self._stamp, self._is_seen = None, None, False
        if is_difference(path):
            generator, original = open_difference(path, self._device), ""
        else:
            generator, original = load_generator(path, self._device), original_sha256(path)
        model = LoadedModel(generator, path, sha256_of(path), original)
        model.require_finite()
        self._model, self._stamp = model, stamp
        return model

    def require_image(self) -> None:
        """Refuse the model in memory if its image is not finite, however often it is asked for.

        Raises:
            ModelError: See ``LoadedModel.require_image``.
        """
        if self._model is not None and not self._is_seen:
            self._model.require_image()
            self._is_seen = True

    def note_image(self) -> None:
        """Note that the model in memory has made a finite image."""
        self._is_seen = True


def _stamp(path: Path) -> tuple[Path, int, int] | None:
    """Return path, time and size of a file, to notice when it is replaced.

    None if there is no such file; loading it then reports why.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: the path contains a zero byte
        return None
    return path, status.st_mtime_ns, status.st_size


def _label_vector(generator: Generator, label: int) -> Tensor | None:
    """Return ``1 x c_dim`` float32, 1 for the label; None for a model without labels."""
    if not generator.c_dim:
        return None
    if not NO_LABEL <= label < generator.c_dim:
        raise RequestError(
            f"the label must be from 0 to {generator.c_dim - 1}, or -1 for none, not {label}: this "
            f"model has {generator.c_dim} labels"
        )
    vector = torch.zeros(1, generator.c_dim, device=device_of(generator))
    if label != NO_LABEL:
        vector[0, label] = 1
    return vector


@torch.no_grad()
def sample_latent(
    generator: Generator, seed: int, truncation_psi: float, label: int = NO_LABEL
) -> FloatArray:
    """Return the latent of a seed, the same that other StyleGAN2 tools compute.

    ``z = numpy.random.RandomState(seed).randn(1, z_dim)``, then the mapping network. Truncation is
    applied here and nowhere else.

    Args:
        generator: The generator, on any device.
        seed: 0 to 2**32 - 1.
        truncation_psi: -2 to 2; 1 for no truncation, 0 for the average image.
        label: The label of a model with labels, from 0, or ``NO_LABEL`` for a vector of zeros.
            Models without labels ignore it.

    Returns:
        ``num_ws x w_dim`` float32.

    Raises:
        RequestError: The seed, the truncation or the label is out of range.
    """
    if not 0 <= seed < 2**32:
        raise RequestError(f"the seed must be from 0 to 4294967295, not {seed}")
    if not -2 <= truncation_psi <= 2:
        raise RequestError(f"the truncation must be from -2 to 2, not {truncation_psi}")
    device = device_of(generator)
    z = np.random.RandomState(seed).randn(1, generator.z_dim).astype(np.float32)
    c = _label_vector(generator, label)
    ws = generator.mapping(torch.from_numpy(z).to(device), c, truncation_psi=truncation_psi)
    latent: FloatArray = ws[0].cpu().numpy()
    return latent
