# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing generators to safetensors files: converted from another container, or after training."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..errors import ModelError, ModelErrorKind
from ..network.generator import Generator
from .layout import Checkpoint
from .load import read_checkpoint, sha256_of
from .safetensors_file import write_safetensors


def convert_checkpoint(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Convert any readable model file to a safetensors file.

    The metadata contain the SHA-256 hash of the source. Equal sources give equal files.

    Args:
        source: The model file to read.
        destination: The file to write. An existing file is replaced atomically.

    Raises:
        ModelError: The source cannot be read, the destination cannot be written, or both are the
            same file.
    """
    source_path, destination_path = Path(source), Path(destination)
    checkpoint = read_checkpoint(source_path)
    if destination_path.exists() and destination_path.samefile(source_path):
        raise ModelError(
            ModelErrorKind.WRITE, f"{destination_path} is the source file; choose another name."
        )
    origin = checkpoint.source_sha256 or sha256_of(source_path)
    write_safetensors(destination_path, replace(checkpoint, source_sha256=origin))


def save_generator(
    generator: Generator, destination: str | os.PathLike[str], *, license_note: str = ""
) -> None:
    """Write a generator to a safetensors file.

    Args:
        generator: The generator, on any device, trainable or frozen.
        destination: The file to write. An existing file is replaced atomically.
        license_note: Text about the licence of the model, stored in the metadata.

    Raises:
        ModelError: The file cannot be written.
    """
    checkpoint = Checkpoint(
        container="safetensors",
        config=generator.config,
        tensors=generator.state_dict(),
        license_note=license_note,
    )
    write_safetensors(Path(destination), checkpoint)
