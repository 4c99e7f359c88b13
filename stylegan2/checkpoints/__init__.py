# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers and writers of model files; no other code opens them.

The network that they load is in ``network``.

A file is treated as hostile until it has been parsed: no reader imports, calls or executes anything
that a file names, and each reader checks sizes before it allocates memory. There is one module per
container. The content of a file decides which reader is used, never its name.
"""

from __future__ import annotations

from .convert import convert_checkpoint, save_generator
from .discriminator import load_discriminator
from .latent_file import read_latent
from .load import ModelInfo, inspect_checkpoint, load_generator, original_sha256, sha256_of
from .weights_file import read_weights

__all__ = [
    "ModelInfo",
    "convert_checkpoint",
    "inspect_checkpoint",
    "load_discriminator",
    "load_generator",
    "original_sha256",
    "read_latent",
    "read_weights",
    "save_generator",
    "sha256_of",
]
