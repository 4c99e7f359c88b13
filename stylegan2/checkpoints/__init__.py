# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code that opens a model file.

A file is hostile until it has been parsed: no reader here imports, calls or executes anything that
a file names, and each checks sizes before it takes memory.  One module per container; which of them
is asked depends on the file's content, never on its name.
"""

from __future__ import annotations

from .convert import convert_checkpoint, save_generator
from .load import ModelInfo, inspect_checkpoint, load_generator, sha256_of

__all__ = [
    "ModelInfo",
    "convert_checkpoint",
    "inspect_checkpoint",
    "load_generator",
    "save_generator",
    "sha256_of",
]
