# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkpoint that an image is made with."""

from __future__ import annotations

import re
from pathlib import Path

import bpy

from ..errors import EditError
from ..package import ROOT
from ..properties.image import DRAGGAN_PG_source
from . import planes

BUILT_IN_MODEL = "suzanne"


def built_in_path() -> Path:
    """Return the file of the built-in model."""
    return ROOT / "stylegan2" / "models" / f"{BUILT_IN_MODEL}.safetensors"


def model_path(source: DRAGGAN_PG_source) -> str:
    """Return the absolute path of the checkpoint that a ``DRAGGAN_PG_source`` names.

    Raises:
        EditError: The source is a file, and none was chosen, or an address in the web.
    """
    if source.kind == "BUILT_IN":
        return str(built_in_path())
    if not source.path:
        raise EditError("No model was chosen; choose a .pkl or .safetensors file, or Suzanne")
    if re.match(r"[a-z][a-z0-9]+:/", source.path, re.IGNORECASE):
        raise EditError(
            f"{source.path} is an address, and nothing is downloaded; download the file, and "
            "choose it where it is on this computer"
        )
    return str(Path(bpy.path.abspath(source.path)).absolute())


def free_seed(model: str, seed: int) -> int:
    """Return the first seed from ``seed`` on whose image of a model is not in the file yet.

    Args:
        model: ``BUILT_IN_MODEL``, or the path of a checkpoint as it is stored.
        seed: 0 or more.
    """
    sources = [plane.draggan.source for plane in planes.everywhere()]
    taken = {
        source.seed
        for source in sources
        if (BUILT_IN_MODEL if source.kind == "BUILT_IN" else source.path) == model
    }
    while seed in taken:
        seed += 1
    return seed
