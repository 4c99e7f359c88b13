# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkpoint that an image is made with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import bpy

from ..errors import EditError
from ..package import ROOT
from ..properties.image import DRAGGAN_PG_source
from ..properties.owners import Plane
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
    return path_of(source.kind, source.path)


def path_of(kind: str, path: str) -> str:
    """Return the absolute path of a checkpoint.

    Args:
        kind: ``BUILT_IN`` or ``FILE``.
        path: The path of a file as it is stored.

    Raises:
        EditError: See ``model_path``.
    """
    if kind == "BUILT_IN":
        return str(built_in_path())
    if not path:
        raise EditError("No model was chosen; choose a .pkl or .safetensors file, or Suzanne")
    if re.match(r"[a-z][a-z0-9]+:/", path, re.IGNORECASE):
        raise EditError(
            f"{path} is an address, and nothing is downloaded; download the file, and "
            "choose it where it is on this computer"
        )
    return str(Path(bpy.path.abspath(path)).absolute())


def for_new_images(context: bpy.types.Context) -> str:
    """Return the model of the next image, as ``free_seed`` takes it.

    It is that of the active image, or of the scene if none is active. A model that was tuned to a
    picture belongs to the image of that picture alone; what it was made from is used in its place.
    """
    plane, scene = planes.active(context), cast(Any, context.scene)
    source = scene.draggan.source
    kind, path = (source.kind, source.path) if plane is None else untuned(plane)
    return BUILT_IN_MODEL if kind == "BUILT_IN" else path


def is_tuned(plane: Plane) -> bool:
    """Return whether the model of an image is the one that was tuned to its picture."""
    source, own = plane.draggan.source, plane.draggan.own
    if source.kind != "FILE" or not own.tuned_path or not own.untuned_kind:
        return False
    # A farm gets absolute paths.
    return bool(bpy.path.abspath(source.path) == bpy.path.abspath(own.tuned_path))


def untuned(plane: Plane) -> tuple[str, str]:
    """Return kind and path of the model of an image, as it was before it was tuned."""
    source, own = plane.draggan.source, plane.draggan.own
    if is_tuned(plane):
        return own.untuned_kind, own.untuned_path
    return source.kind, source.path


def base_of(plane: Plane) -> str:
    """Return ``base_sha256`` of the model that the latent of an image belongs to."""
    return base_sha256(plane, plane.draggan.model_sha256)


def base_sha256(plane: Plane, sha256: str) -> str:
    """Return the hash of the model whose latents mean the same as those of a model.

    Args:
        plane: A GAN image.
        sha256: The hash of one of its models. That of the model that was tuned to its picture gives
            that of the one that it was made from.
    """
    own = plane.draggan.own
    return own.untuned_sha256 if sha256 and sha256 == own.tuned_sha256 else sha256


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
