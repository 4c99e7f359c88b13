# SPDX-License-Identifier: GPL-3.0-or-later
"""Difference files: a model that was tuned to one picture, as what changed of its weights.

Noise maps count as weights: those that were found for a picture travel in the same file.

A difference file is opened wherever a model file is. It names its base: the model that it changes,
by path and hash. The base is looked for at that path, beside the difference file, and among the
built-in models; a file that was converted from it has the same weights and serves as well, also
under the name that it has in a library of models.

The file is a safetensors file. For each changed weight it has the change as int8, with the weight's
key and shape, and a float32 scale for each output channel under ``key.scale``. The tuned weight is
``base + int8 * scale``. The metadata have ``format`` "pt", ``architecture``
"stylegan2-difference", ``base_sha256``, ``base_name`` and ``base_path``.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from draggan_blender.protocol.atomic_files import write_atomically
from draggan_blender.protocol.plain_files import read_plain_file
from stylegan2 import Generator, ModelError, load_generator, original_sha256, sha256_of
from stylegan2.checkpoints.byte_source import MemoryBytes, open_bytes
from stylegan2.checkpoints.pickled_tensor import TensorRecipe
from stylegan2.checkpoints.refusal import Refusal
from stylegan2.checkpoints.safetensors_header import FLOATS, INT8, read_header, read_metadata
from stylegan2.models import builtin_model_path

from .errors import RequestError, printable
from .library_names import library_path

ARCHITECTURE = "stylegan2-difference"
_SCALE = ".scale"
_STEPS = 127
_BUILT_IN = "suzanne"
# The change of a 1024 px model, whole, has 30 MB.
_MOST_BYTES = 256 << 20
_NOISE = ".noise_const"

# The change of a weight as int8, and a float32 scale for each entry of its first dimension.
Change = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Difference:
    """What changed of a model's weights.

    Attributes:
        base_sha256: The SHA-256 of the base's file, lower-case hexadecimal.
        base_name: The name of its file.
        base_path: Where it was when the difference was made.
        changes: Key of a weight or a noise map -> its change.
    """

    base_sha256: str
    base_name: str
    base_path: str
    changes: Mapping[str, Change]

    def apply(self, generator: Generator) -> Generator:
        """Change a base into the tuned model, and freeze it again.

        Args:
            generator: The base; its weights are replaced.

        Returns:
            The same generator.

        Raises:
            RequestError: A weight does not belong to the generator.
        """
        weights = {**dict(generator.named_parameters()), **noise_buffers(generator)}
        for key, (steps, scale) in self.changes.items():
            weight = weights.get(key)
            if weight is None or weight.shape != steps.shape:
                raise RequestError(
                    f"the difference has a weight {printable(key)} that {self.base_name} lacks, "
                    "or has in another size; tune the picture again"
                )
            change = steps.to(weight.device).float() * _spread(scale.to(weight.device), steps)
            weight.data = weight.data + change
        return generator.freeze()

    def to_bytes(self) -> bytes:
        """Return the content of the file; equal differences give equal bytes."""
        tensors: dict[str, Tensor] = {}
        for key, (steps, scale) in self.changes.items():
            tensors[key], tensors[key + _SCALE] = steps, scale
        header: dict[str, object] = {
            "__metadata__": {
                "format": "pt",
                "architecture": ARCHITECTURE,
                "base_sha256": self.base_sha256,
                "base_name": self.base_name,
                "base_path": self.base_path,
            }
        }
        parts, offset = [], 0
        for key, tensor in sorted(tensors.items()):
            values = tensor.detach().cpu().contiguous().numpy()
            is_step = values.dtype.itemsize == 1
            data = values.astype("i1" if is_step else "<f4").tobytes()
            header[key] = {
                "dtype": "I8" if is_step else "F32",
                "shape": list(tensor.shape),
                "data_offsets": [offset, offset + len(data)],
            }
            offset += len(data)
            parts.append(data)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        return b"".join([struct.pack("<Q", len(text)), text, *parts])

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            OSError: It cannot be written.
        """
        write_atomically(path, self.to_bytes())


def noise_buffers(generator: Generator) -> dict[str, Tensor]:
    """Return the noise maps of a generator by key, each ``H x W`` float32."""
    return {key: value for key, value in generator.named_buffers() if key.endswith(_NOISE)}


def quantised(change: Tensor) -> Change:
    """Return a change as int8 and a float32 scale for each of its first dimension's entries."""
    flat = change.detach().cpu().flatten(1) if change.ndim > 1 else change.detach().cpu()[:, None]
    scale = (flat.abs().amax(dim=1) / _STEPS).clamp(min=1e-12)
    steps = (flat / scale[:, None]).round().clamp(-_STEPS, _STEPS).to(torch.int8)
    return steps.reshape(change.shape).contiguous(), scale


def _spread(scale: Tensor, steps: Tensor) -> Tensor:
    return scale.reshape(-1, *(1,) * (steps.ndim - 1))


def is_difference(path: Path) -> bool:
    """Return whether a file is a difference file, by its content."""
    if not path.is_file():
        return False  # opening a pipe would wait
    try:
        with open_bytes(path) as source:
            return read_metadata(source).get("architecture") == ARCHITECTURE
    except (OSError, Refusal):
        return False  # the reader of models says what it is


def require_untuned(path: Path) -> None:
    """Refuse to tune a model that was tuned already.

    Raises:
        RequestError: The file is a difference file.
    """
    if is_difference(path):
        raise RequestError(
            f"{path.name} was tuned to a picture already; choose the model that it was made from"
        )


def read_difference(path: Path) -> Difference:
    """Read a difference file.

    Raises:
        RequestError: The file is damaged.
        OSError: It cannot be read.
    """
    try:
        source = MemoryBytes(read_plain_file(path, _MOST_BYTES))
        metadata, recipes = read_header(source, {"F32": FLOATS["F32"], **INT8})
        changes = {key: _change(key, recipes, path) for key in recipes if not key.endswith(_SCALE)}
    except Refusal as refusal:
        raise RequestError(
            f"{path.name} {refusal.reason.partition(';')[0]}; tune the picture again"
        ) from None
    sha256 = metadata.get("base_sha256", "")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise _damaged(path, "it does not say which model it belongs to")
    name = printable(metadata.get("base_name", "")) or "its model"
    return Difference(sha256, name, metadata.get("base_path", ""), changes)


def _change(key: str, recipes: Mapping[str, TensorRecipe], path: Path) -> Change:
    """Return the change of a weight as int8, and its scale.

    Raises:
        RequestError: One of them is missing, or has another type or shape.
        Refusal: A scale is not finite.
    """
    steps, scale = recipes[key], recipes.get(key + _SCALE)
    fits = (
        scale is not None
        and steps.dtype == INT8["I8"][0]
        and scale.dtype == FLOATS["F32"][0]
        and bool(steps.size)
        and scale.size == steps.size[:1]
    )
    if scale is None or not fits:
        raise _damaged(path, f"the change of {printable(key)} is not as expected")
    # Recipes give float32, which int8 is exact in; one at a time, as it is four times as large.
    whole = steps.tensor(printable(key)).to(torch.int8)
    return whole, scale.tensor(printable(key + _SCALE))


def open_difference(path: Path, device: torch.device) -> Generator:
    """Load the tuned model of a difference file: its base, changed.

    Raises:
        RequestError: The file is damaged, or its base was not found.
        ModelError: The base cannot be read.
    """
    difference = read_difference(path)
    return difference.apply(load_generator(find_base(difference, path), device))


def find_base(difference: Difference, path: Path) -> Path:
    """Return the base of the difference file at ``path``, or a file that was converted from it.

    Raises:
        RequestError: No file with its hash was found.
    """
    beside = path.parent / Path(difference.base_name).name
    given = [Path(difference.base_path), beside, builtin_model_path(_BUILT_IN)]
    places = [place for place in given if place is not None and place.name]
    # A converted model has the name of the file that it was made from; in a person's library, with
    # the beginning of its hash.
    converted = [place.with_suffix(".safetensors") for place in places]
    converted += [library_path(place.parent, place, difference.base_sha256) for place in places]
    for place in dict.fromkeys((*places, *converted)):  # each once: hashing takes seconds
        if _is_base(place, difference.base_sha256):
            return place
    raise RequestError(
        f"{path.name} changes the model {difference.base_name}, whose SHA-256 begins with "
        f"{difference.base_sha256[:12]}, but no such file is at {printable(difference.base_path)} "
        f"or beside {path.name}; put it there"
    )


def _is_base(path: Path, sha256: str) -> bool:
    """Return whether a model file has a hash, or was converted from a file that has it."""
    try:
        return path.is_file() and sha256 in (sha256_of(path), original_sha256(path))
    except (OSError, ModelError, ValueError):  # ValueError: the path contains a zero byte
        return False


def _damaged(path: Path, reason: str) -> RequestError:
    return RequestError(
        f"{path.name} is a damaged difference file ({printable(reason)}); tune the picture again"
    )
