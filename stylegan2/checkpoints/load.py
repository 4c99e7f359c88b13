# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading: from the path of a model file to a generator, or to a summary of the file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..network.config import GeneratorConfig
from ..network.generator import Generator
from .layout import BUFFERS, Checkpoint, build_generator
from .pickle_files import read_pickle, read_torch_legacy, read_torch_zip
from .refusal import refusals_about
from .safetensors_file import read_safetensors, read_source_sha256
from .sniff import Container, sniff

_READERS: dict[Container, Callable[[Path], Checkpoint]] = {
    Container.PICKLE: read_pickle,
    Container.TORCH_ZIP: read_torch_zip,
    Container.TORCH_LEGACY: read_torch_legacy,
    Container.SAFETENSORS: read_safetensors,
}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Summary of a model file.

    Attributes:
        path: The file.
        sha256: SHA-256 hash of the content, 64 hexadecimal digits.
        container: File format, such as "NVIDIA pickle".
        architecture: Name of the network for people.
        config: The sizes and constants of the model.
        parameters: Number of trained values; buffers do not count.
        source_sha256: Hash of the file that this one was converted from; empty if it was not.
        license_note: The text of the file about its licence; empty if it has none.
        notes: What was assumed or computed because the file does not contain it, a sentence each.
    """

    path: Path
    sha256: str
    container: str
    architecture: str
    config: GeneratorConfig
    parameters: int
    source_sha256: str
    license_note: str
    notes: tuple[str, ...] = ()


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 hash of a file's content as 64 hexadecimal digits; it identifies a model.

    Raises:
        ModelError: The file cannot be read.
    """
    file_path = Path(path)
    with refusals_about(file_path), file_path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def original_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 hash of the file that a model file was converted from; empty if none.

    Raises:
        ModelError: The file cannot be read.
    """
    file_path = Path(path)
    with refusals_about(file_path):
        if sniff(file_path) is not Container.SAFETENSORS:
            return ""
        return read_source_sha256(file_path)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the configuration and the tensors of a model file.

    Raises:
        ModelError: The file does not exist, or is not a StyleGAN2 generator in a supported
            container; the message says what it is instead.
    """
    file_path = Path(path)
    with refusals_about(file_path):
        return _READERS[sniff(file_path)](file_path)


def load_generator(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Generator:
    """Load a generator from a model file.

    ``docs/formats.md`` lists the formats. The content of the file decides which of them it is, not
    its name. Nothing in the file is executed.

    Args:
        path: The model file.
        device: Device of the weights.

    Returns:
        The frozen generator, float32: it is in evaluation mode, and no parameter requires a
        gradient.

    Raises:
        ModelError: The file does not exist, or is not a StyleGAN2 generator in a supported
            container; the message says what it is instead.
    """
    return build_generator(read_checkpoint(path), device)


def inspect_checkpoint(path: str | os.PathLike[str]) -> ModelInfo:
    """Return a summary of a model file, which is read and checked as for loading.

    Raises:
        ModelError: The file does not exist, or is not a StyleGAN2 generator in a supported
            container; the message says what it is instead.
    """
    checkpoint = read_checkpoint(path)
    trained = [t for key, t in checkpoint.tensors.items() if not key.endswith(BUFFERS)]
    return ModelInfo(
        path=Path(path),
        sha256=sha256_of(path),
        container=checkpoint.container,
        architecture=_describe(checkpoint.config),
        config=checkpoint.config,
        parameters=sum(tensor.numel() for tensor in trained),
        source_sha256=checkpoint.source_sha256,
        license_note=checkpoint.license_note,
        notes=checkpoint.notes,
    )


def _describe(config: GeneratorConfig) -> str:
    labels = f", {config.c_dim} labels" if config.c_dim else ""
    return f"StyleGAN2, {config.architecture} architecture{labels}"
