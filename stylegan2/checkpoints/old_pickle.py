# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickle protocols 0 and 1, only far enough to name what such a pickle asks for.

No models are published in these protocols, so they are not read. But malicious files that are
written by hand often use them, and the message should say what such a file asked for. Instructions
are skipped one by one; no value is made.
"""

from __future__ import annotations

from .budget import MAX_OPCODES

_ONE_LINE = b"SVILFgpP"
_FIXED = {ord("J"): 4, ord("K"): 1, ord("M"): 2, ord("G"): 8}
_FIXED |= {ord("q"): 1, ord("r"): 4, ord("h"): 1, ord("j"): 4}
_COUNTED = {ord("U"): 1, ord("T"): 4, ord("X"): 4}
_PLAIN = b"N()]}taesuld012RboQ"


def first_global(data: bytes) -> str | None:
    """Return the first global, as ``module.name``, that a pickle of protocol 0 or 1 refers to.

    Returns:
        None if it refers to no global, or if the data are not such a pickle.
    """
    position = 0
    for _ in range(MAX_OPCODES):
        if position >= len(data):
            return None
        code = data[position]
        position += 1
        if code in b"ci":  # GLOBAL and INST: one line each for the module and the name
            module, _, rest = data[position : position + 4096].partition(b"\n")
            name, end, _ = rest.partition(b"\n")
            return f"{module.decode('latin-1')}.{name.decode('latin-1')}" if end else None
        if code in _ONE_LINE:
            position = data.find(b"\n", position) + 1
            if not position:
                return None
        elif code in _COUNTED:
            width = _COUNTED[code]
            length = int.from_bytes(data[position : position + width], "little")
            position += width + length
        elif code in _FIXED:
            position += _FIXED[code]
        elif code not in _PLAIN:
            return None
    return None
