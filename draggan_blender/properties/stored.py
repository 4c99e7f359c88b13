# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary values in string properties: latents and tracks are stored as base64 text.

Blender's string properties cannot hold zero bytes.
"""

from __future__ import annotations

import base64
import zlib

from ..errors import EditError


def to_text(data: bytes) -> str:
    """Return binary data as the text that a string property can hold."""
    return base64.b64encode(data).decode("ascii")


def to_bytes(text: str) -> bytes:
    """Return the binary data of a string property; empty for an empty property.

    Raises:
        EditError: The text is not base64: the file is damaged, or a script has changed it.
    """
    try:
        return base64.b64decode(text)
    except ValueError:
        raise EditError(
            "What is stored of this image in the .blend is damaged; go back in the history, or "
            "make a new image"
        ) from None


def unpacked(text: str, size: int) -> bytes:
    """Return the binary data of a string property that was compressed before.

    Args:
        text: The property.
        size: How many bytes it must have, so that no others are unpacked.

    Raises:
        EditError: The text is not base64.
        ValueError: It is not compressed data of that size.
    """
    try:
        data = zlib.decompressobj().decompress(to_bytes(text), size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(data) != size:
        raise ValueError(f"{size} bytes were expected")
    return data
