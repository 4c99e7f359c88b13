# SPDX-License-Identifier: GPL-3.0-or-later
"""From a path to a generator, or to a summary of what a file holds."""

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
from .nvidia_pickle import read_nvidia_pickle
from .refusal import refusals_about
from .safetensors_file import read_safetensors
from .sniff import Container, sniff

_READERS: dict[Container, Callable[[Path], Checkpoint]] = {
    Container.PICKLE: read_nvidia_pickle,
    Container.SAFETENSORS: read_safetensors,
}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Summary of a model file.

    Attributes:
        path: the file.
        sha256: its hash, 64 hexadecimal digits.
        container: "NVIDIA pickle" or "safetensors".
        architecture: the network, in words.
        config: the sizes.
        parameters: how many numbers training has set.
        source_sha256: of the file that this one was converted from; empty if it was not.
        license_note: what the file says about its licence; empty if nothing.
    """

    path: Path
    sha256: str
    container: str
    architecture: str
    config: GeneratorConfig
    parameters: int
    source_sha256: str
    license_note: str


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hash a file's content, which is the name of a model: 64 hexadecimal digits.

    Raises:
        ModelError: if it cannot be read.
    """
    file_path = Path(path)
    with refusals_about(file_path), file_path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a model file into a configuration and tensors.

    Raises:
        ModelError: if there is no such file, or it is not a StyleGAN2 generator in a container that
            is read; the message says what it is instead.
    """
    file_path = Path(path)
    with refusals_about(file_path):
        return _READERS[sniff(file_path)](file_path)


def load_generator(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Generator:
    """Read a generator from a StyleGAN2-ADA or StyleGAN3-repository `.pkl` or a `.safetensors`.

    Nothing in the file is executed.  The kind of the file is told by its content.

    Args:
        path: the file.
        device: where the weights go.

    Returns:
        The frozen generator: evaluation mode, no parameter takes a gradient.

    Raises:
        ModelError: if there is no such file, or it is not a StyleGAN2 generator in a container that
            is read; the message says what it is instead.
    """
    return build_generator(read_checkpoint(path), device)


def inspect_checkpoint(path: str | os.PathLike[str]) -> ModelInfo:
    """Summarise a model file; it is read and checked as for loading.

    Raises:
        ModelError: as `load_generator`.
    """
    checkpoint = read_checkpoint(path)
    trained = [t for key, t in checkpoint.tensors.items() if not key.endswith(BUFFERS)]
    return ModelInfo(
        path=Path(path),
        sha256=sha256_of(path),
        container=checkpoint.container,
        architecture="StyleGAN2, skip architecture",
        config=checkpoint.config,
        parameters=sum(tensor.numel() for tensor in trained),
        source_sha256=checkpoint.source_sha256,
        license_note=checkpoint.license_note,
    )
