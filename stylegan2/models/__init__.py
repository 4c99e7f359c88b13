# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that ship with the code, by short names."""

from __future__ import annotations

from pathlib import Path

BUILTIN_MODELS = ("suzanne",)
"""Each is a `NAME.safetensors` beside this file, with a card that says what it is."""


def builtin_model_path(name: str) -> Path | None:
    """Where the built-in model of a name lies, or None if no built-in model is called so."""
    if name not in BUILTIN_MODELS:
        return None
    return Path(__file__).with_name(f"{name}.safetensors")
