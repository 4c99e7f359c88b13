# SPDX-License-Identifier: GPL-3.0-or-later
"""The header of a safetensors file: eight bytes with its length, and a JSON object.

The object has the type, the shape and the place of each tensor, and texts as ``__metadata__``. The
data follow without holes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

from .byte_source import ByteSource, Span
from .layout import MAX_RANK
from .pickled_tensor import TensorRecipe
from .refusal import Refusal, damaged, printable, unsupported

# The header of a 1024 px generator has 30 KB.
MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 4096

# Element types: name in the header -> numpy's name, and the bytes of an element.
Kinds = Mapping[str, tuple[str, int]]

FLOATS: Kinds = {"F16": ("<f2", 2), "BF16": ("<u2", 2), "F32": ("<f4", 4), "F64": ("<f8", 8)}
INT8: Kinds = {"I8": ("|i1", 1)}


def read_header(
    source: ByteSource, kinds: Kinds = FLOATS
) -> tuple[dict[str, str], dict[str, TensorRecipe]]:
    """Read and check the header of a file.

    Args:
        source: The file.
        kinds: The element types that are accepted.

    Returns:
        The metadata, and the tensors by name.

    Raises:
        Refusal: The header is damaged, a tensor has another element type, or the data are not where
            the header says.
    """
    metadata, header, start = _parts(source)
    described = {key: _described(key, value, kinds) for key, value in header.items()}
    position = 0
    for _, _, begin, end in sorted(described.values(), key=lambda each: each[2:]):
        if begin != position:
            raise damaged("is damaged: its tensors do not follow each other")
        position = end
    if position != source.size - start:
        raise damaged("is truncated or damaged: its tensors do not have the size that it states")
    return metadata, {
        key: TensorRecipe(
            Span(source, start + begin, end - begin), kinds[dtype][0], size, _strides(size)
        )
        for key, (dtype, size, begin, end) in described.items()
    }


def read_metadata(source: ByteSource) -> dict[str, str]:
    """Read the metadata in the header of a file; its tensors are not checked.

    Raises:
        Refusal: The header is damaged.
    """
    metadata, _, _ = _parts(source)
    return metadata


def _parts(source: ByteSource) -> tuple[dict[str, str], dict[str, Any], int]:
    """Return the metadata, the rest of the header, and where the data begin."""
    if source.size < 8:
        raise damaged("is truncated: it ends in its header")
    (length,) = struct.unpack("<Q", source.read(0, 8))
    if length > MAX_HEADER_BYTES:
        raise damaged("is damaged, or has a larger header than any StyleGAN2 checkpoint")
    header = _parsed(source.read(8, length))
    metadata = header.pop("__metadata__", {})
    is_text = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    if not is_text or len(header) > MAX_TENSORS:
        raise damaged("is damaged: its header is not that of a safetensors file")
    return metadata, header, 8 + length


def _parsed(data: bytes) -> dict[str, Any]:
    failure: Refusal = damaged("is truncated or damaged: its header cannot be read")
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise failure from None
    if not isinstance(header, dict):
        raise failure
    return header


def _described(key: str, value: object, kinds: Kinds) -> tuple[str, tuple[int, ...], int, int]:
    """Return the type, the shape, the begin and the end of a tensor in the header."""
    name = printable(key)
    if not isinstance(value, dict):
        raise damaged(f"is damaged: {name} is not described")
    dtype = value.get("dtype")
    if not isinstance(dtype, str) or dtype not in kinds:
        shown = printable(dtype) if isinstance(dtype, str) else "something else"
        raise unsupported(f"has {name} as {shown}, but {', '.join(kinds)} are expected")
    size, place = _naturals(value.get("shape")), _naturals(value.get("data_offsets"))
    if size is None or place is None or len(place) != 2:
        raise damaged(f"is damaged: {name} has an impossible shape")
    if 0 in size or place[1] - place[0] != math.prod(size) * kinds[dtype][1]:
        raise damaged(f"is damaged: {name} has another size than its shape")
    return dtype, size, place[0], place[1]


def _naturals(values: object) -> tuple[int, ...] | None:
    if not isinstance(values, list) or len(values) > MAX_RANK:
        return None
    is_natural = all(type(number) is int and 0 <= number < 1 << 48 for number in values)
    return tuple(values) if is_natural else None


def _strides(size: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a contiguous tensor, in elements."""
    return tuple(math.prod(size[axis + 1 :]) for axis in range(len(size)))
