# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that the benchmarks compare methods on, found by their short names.

``suzanne`` is the built-in model. ``twin`` and ``adversarial`` are files in this folder; they are
not part of the extension. Each file ``NAME.safetensors`` is described by its card ``NAME.md``, and
``tools/suzanne`` makes it. Which map from factors to latents a model has is found by
``tools.suzanne.truth.truth_of`` from its file alone.
"""

from __future__ import annotations

from pathlib import Path

from engine.models import model_path
from stylegan2 import ModelError, ModelErrorKind

BUILT_IN = "suzanne"
# The models in this folder.
OTHERS = ("twin", "adversarial")
MODELS = (BUILT_IN, *OTHERS)


def model_file(name_or_path: str) -> Path:
    """Return the file of one of ``MODELS`` or of a path, with ``~`` expanded.

    Raises:
        ModelError: The name is one of ``MODELS``, but its file is missing.
    """
    if name_or_path not in OTHERS:
        return model_path(name_or_path)
    path = Path(__file__).with_name(f"{name_or_path}.safetensors")
    if not path.is_file():
        raise ModelError(
            ModelErrorKind.MISSING,
            f"the model {name_or_path!r} is missing: {path} was not found; "
            f"make it with python -m tools.suzanne.{name_or_path}",
        )
    return path
