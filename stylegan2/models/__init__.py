# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that ship with the code, found by their short names."""

from __future__ import annotations

from pathlib import Path

# Each model is a file ``NAME.safetensors`` in this folder, described by its card ``NAME.md``.
BUILTIN_MODELS = ("suzanne",)


def builtin_model_path(name: str) -> Path | None:
    """Return the path of a built-in model's file, or None if no built-in model has that name."""
    if name not in BUILTIN_MODELS:
        return None
    return Path(__file__).with_name(f"{name}.safetensors")
