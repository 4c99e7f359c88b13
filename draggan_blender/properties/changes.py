# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports that a property was changed by a person or a script, and not by animation or undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

_listener: Callable[[Any], None] | None = None


def listen(listener: Callable[[Any], None] | None) -> None:
    """Set the callback that receives the object or scene whose property was changed."""
    global _listener
    _listener = listener


def report(group: Any, _context: bpy.types.Context) -> None:
    """Call the callback; this is the ``update`` function of properties."""
    if _listener is not None:
        _listener(group.id_data)
