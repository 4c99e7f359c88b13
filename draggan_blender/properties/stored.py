# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary values in string properties: latents and tracks are stored as base64 text.

Blender's string properties cannot hold zero bytes.
"""

from __future__ import annotations

import base64


def to_text(data: bytes) -> str:
    """Return binary data as the text that a string property can hold."""
    return base64.b64encode(data).decode("ascii")


def to_bytes(text: str) -> bytes:
    """Return the binary data of a string property; empty for an empty property.

    Raises:
        ValueError: The text is not base64.
    """
    return base64.b64decode(text)
