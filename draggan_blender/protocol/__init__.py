# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender and the engine say to each other, and how it becomes bytes.

The only code that both processes load: standard library only, no I/O. Blender reaches it as
``.protocol``, the engine as ``draggan_blender.protocol``; only bytes cross, so the two names
never meet.
"""

from __future__ import annotations

from .codec import Decoder, encode
from .errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from .messages import PROTOCOL_VERSION

__all__ = [
    "PROTOCOL_VERSION",
    "Decoder",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "encode",
]
