# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the files in a person's library of models."""

from __future__ import annotations

from pathlib import Path

# Characters of the source's name, and digits of its hash.
_STEM_CHARACTERS, _HASH_DIGITS = 80, 8


def library_path(folder: Path, source: Path, sha256: str) -> Path:
    """Return the file of a model in a library; other contents have other names.

    Args:
        folder: The folder of the library.
        source: The file that was added.
        sha256: The SHA-256 of its content, in hexadecimal.
    """
    stem = source.stem[:_STEM_CHARACTERS].strip(". ") or "model"
    return folder / f"{stem}-{sha256[:_HASH_DIGITS]}.safetensors"
