# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing generators as safetensors: converted from another container, or after training."""

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
    """Write the generator of any readable model file as safetensors.

    The hash of the source is kept in the metadata.  An existing destination is replaced, all at
    once; equal sources give equal files.

    Raises:
        ModelError: if the source cannot be read, or the destination cannot be written or is the
            source itself.
    """
    source_path, destination_path = Path(source), Path(destination)
    checkpoint = read_checkpoint(source_path)
    if destination_path.exists() and destination_path.samefile(source_path):
        raise ModelError(
            ModelErrorKind.WRITE, f"{destination_path} is the source itself; choose another name."
        )
    origin = checkpoint.source_sha256 or sha256_of(source_path)
    write_safetensors(destination_path, replace(checkpoint, source_sha256=origin))


def save_generator(
    generator: Generator, destination: str | os.PathLike[str], *, license_note: str = ""
) -> None:
    """Write a generator, trained here for instance, as safetensors.

    Args:
        generator: on any device, trainable or frozen.
        destination: the file to make or to replace, all at once.
        license_note: goes into the metadata.

    Raises:
        ModelError: if the file cannot be written.
    """
    checkpoint = Checkpoint(
        container="safetensors",
        config=generator.config,
        tensors=generator.state_dict(),
        license_note=license_note,
    )
    write_safetensors(Path(destination), checkpoint)
