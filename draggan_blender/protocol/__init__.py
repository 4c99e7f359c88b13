# SPDX-License-Identifier: GPL-3.0-or-later
"""The code that both processes load: the messages on the wire, and facts that both have to know.

- ``messages``, ``explore``, ``live``, ``own_picture``, ``parts``, ``timeline``, ``pairs``,
  ``codec`` and ``errors`` are the wire: the messages that Blender and the engine send, and their
  conversion to bytes and back. They do no I/O.
- ``settings`` (the table of drag options), ``pictures`` (what an image is made of, as bytes),
  ``layering`` (how masked edits add up), ``file_names``, ``atomic_files``, ``cache_folder`` and
  ``farm_lines`` are facts and rules that both processes share.

Only the standard library is imported, except for numpy in ``layering``. Blender imports the package
as ``.protocol`` and the engine as ``draggan_blender.protocol``; they exchange bytes and no objects,
so the two names do not clash.
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
