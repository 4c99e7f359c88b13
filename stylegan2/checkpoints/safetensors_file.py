# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader and writer of StyleGAN2 generators in safetensors files, the container of this project.

The tensors have the key names of the public PyTorch state dict and are written as float32. The
metadata have ``format`` "pt", ``architecture`` "stylegan2", and ``config``, a JSON object. It has
the constants that cannot be derived from the shapes, and sizes that the shapes are checked against:

    z_dim c_dim w_dim img_h img_w img_channels num_layers    integers
    lr_multiplier                                            number
    conv_clamp                                               number or null
    architecture                                             "skip", "orig" or "resnet"
    use_noise                                                boolean
    label_mode                                               "none", "embed" or "concat"
    source_sha256 license_note                               text, may be empty
    notes                                                    list of text; may be missing

Files are read and written without the safetensors library. It maps files into memory, and a mapped
file that another program shortens ends the process. It also writes the metadata in random order: a
model is identified by its hash, so equal models must be equal files.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from ..errors import ModelError, ModelErrorKind
from ..network.config import Architecture, GeneratorConfig, LabelMode
from .byte_source import open_bytes
from .layout import Checkpoint, check_shapes, config_from_shapes
from .pickled_tensor import TensorRecipe
from .refusal import damaged, printable, unsupported
from .safetensors_header import read_header

FORMAT = "pt"
ARCHITECTURE = "stylegan2"
MAX_CONFIG_CHARACTERS = 65536


def read_safetensors(path: Path) -> Checkpoint:
    """Read the generator of a safetensors file.

    Raises:
        Refusal: The file is damaged or contains something else.
        OSError: The file cannot be read.
    """
    with open_bytes(path) as source:
        metadata_text, recipes = read_header(source)
        metadata = _read_metadata(metadata_text)
        config = _read_config(recipes, metadata)
        tensors = {key: recipe.tensor(printable(key)) for key, recipe in recipes.items()}
    return Checkpoint(
        container="safetensors",
        config=config,
        tensors=tensors,
        source_sha256=metadata["source_sha256"],
        license_note=metadata["license_note"],
        notes=tuple(metadata.get("notes", ())),
    )


def read_source_sha256(path: Path) -> str:
    """Return the hash of the file that a safetensors file was converted from; may be empty.

    Raises:
        Refusal: The file is damaged or contains something else.
        OSError: The file cannot be read.
    """
    with open_bytes(path) as source:
        metadata, _ = read_header(source)
    found: str = _read_metadata(metadata)["source_sha256"]
    return found


def _read_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the ``config`` of the metadata with the types of its values checked."""
    architecture = metadata.get("architecture")
    if architecture != ARCHITECTURE:
        found = f"the architecture {printable(architecture)}" if architecture else "no architecture"
        raise unsupported(
            f"is a safetensors file with {found} in its metadata, not a StyleGAN2 generator "
            "written by 'python -m engine convert'"
        )
    text = metadata.get("config", "")
    try:
        config = json.loads(text) if len(text) <= MAX_CONFIG_CHARACTERS else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise damaged("is damaged: the config in its metadata is not a JSON object")
    for key, example in describe_config(_EXAMPLE).items():
        if key not in config:
            raise damaged(f"is damaged: the config in its metadata lacks {key}")
        if not _is_like(config[key], example):
            raise damaged(f"is damaged: the config in its metadata has an unusable {key}")
    notes = config.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise damaged("is damaged: the config in its metadata has notes that are not texts")
    return config


def _is_like(value: object, example: object) -> bool:
    """Return whether a JSON value has the type of the example; a float may be null."""
    if isinstance(example, float):
        return type(value) in (int, float) or value is None
    return type(value) is type(example)


def _number(metadata: Mapping[str, Any], key: str) -> float | None:
    """Return a number of the metadata as a finite float, or None if it is null."""
    try:
        number = None if metadata[key] is None else float(metadata[key])
    except OverflowError:  # JSON integers can be larger than any float
        number = math.inf
    if number is not None and not math.isfinite(number):
        raise damaged(f"is damaged: the config in its metadata has an unusable {key}")
    return number


def _read_config(
    recipes: Mapping[str, TensorRecipe], metadata: Mapping[str, Any]
) -> GeneratorConfig:
    """Return the configuration derived from the shapes, after comparing it with the metadata."""
    multiplier = _number(metadata, "lr_multiplier")
    if multiplier is None:
        raise damaged("is damaged: the config in its metadata has an unusable lr_multiplier")
    modes = ("none", *get_args(LabelMode))
    if (
        metadata["architecture"] not in get_args(Architecture)
        or metadata["label_mode"] not in modes
    ):
        raise unsupported("is a StyleGAN2 generator of a kind that a later version writes")
    shapes = {key: recipe.size for key, recipe in recipes.items()}
    config = config_from_shapes(
        shapes, lr_multiplier=multiplier, conv_clamp=_number(metadata, "conv_clamp")
    )
    check_shapes(shapes, config)
    for key, value in describe_config(config).items():
        if key not in ("source_sha256", "license_note") and metadata[key] != value:
            raise damaged(
                f"is damaged: the config in its metadata has {key} {printable(str(metadata[key]))}"
                f", but its tensors are for {value}"
            )
    return config


def describe_config(
    config: GeneratorConfig, *, source_sha256: str = "", license_note: str = ""
) -> dict[str, object]:
    """Return the ``config`` object of the metadata.

    Args:
        config: The configuration to describe.
        source_sha256: Hash of the file that the model was converted from; may be empty.
        license_note: Text about the licence of the model; may be empty.
    """
    _, height, width = config.img_shape
    return {
        "z_dim": config.z_dim,
        "c_dim": config.c_dim,
        "w_dim": config.w_dim,
        "img_h": height,
        "img_w": width,
        "img_channels": config.img_channels,
        "num_layers": config.num_layers,
        "lr_multiplier": config.lr_multiplier,
        "conv_clamp": config.conv_clamp,
        "architecture": config.architecture,
        "use_noise": config.use_noise,
        "label_mode": config.label_mode if config.c_dim else "none",
        "source_sha256": source_sha256,
        "license_note": license_note,
    }


# The most bytes of a file's name, on nearly every file system.
_MOST_NAME_BYTES = 255
# Only the types of its fields are used.
_EXAMPLE = GeneratorConfig(img_resolution=4, channels=(1,), conv_clamp=1.0)


def write_safetensors(path: Path, checkpoint: Checkpoint) -> None:
    """Write a generator to a file atomically: the file is complete or not changed.

    Args:
        path: The file to create or replace; its folder is made if it is missing.
        checkpoint: The generator to write; its ``container`` is ignored.

    Raises:
        ModelError: The file cannot be written.
    """
    tensors = {
        key: tensor.detach().to("cpu", torch.float32).contiguous()
        for key, tensor in sorted(checkpoint.tensors.items())
    }
    header = _header(checkpoint, tensors)
    # Processes on several machines, or in containers, can have the same number; and a name that is
    # as long as it may be leaves no room.
    ending = f".{secrets.token_hex(8)}.part"
    start = os.fsencode(path.name)[: _MOST_NAME_BYTES - len(ending) - 1].decode(errors="ignore")
    partial = path.with_name(f".{start}{ending}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as file:
                file.write(struct.pack("<Q", len(header)) + header)
                for tensor in tensors.values():
                    file.write(tensor.numpy().astype("<f4", copy=False).tobytes())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelError(ModelErrorKind.WRITE, f"{path} cannot be written: {reason}.") from error


def _header(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> bytes:
    """Return the JSON header, padded so that the data begin at a multiple of eight bytes."""
    config = describe_config(
        checkpoint.config,
        source_sha256=checkpoint.source_sha256,
        license_note=checkpoint.license_note,
    )
    if checkpoint.notes:
        config["notes"] = list(checkpoint.notes)
    header: dict[str, object] = {
        "__metadata__": {
            "format": FORMAT,
            "architecture": ARCHITECTURE,
            "config": json.dumps(config),
        }
    }
    offset = 0
    for key, tensor in tensors.items():
        end = offset + 4 * tensor.numel()
        header[key] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)
