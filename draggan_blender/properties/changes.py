# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports that a property was changed by a person or a script, and not by animation or undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

Listener = Callable[[Any], None]

_listener: Listener | None = None
_edit_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Set the callback that receives the object or scene whose seed or truncation was changed."""
    global _listener
    _listener = listener


def listen_to_edits(listener: Listener | None) -> None:
    """Set the callback that receives the object of which a masked edit was changed."""
    global _edit_listener
    _edit_listener = listener


def report(group: Any, _context: bpy.types.Context) -> None:
    """Call the callback of ``listen``; this is the ``update`` function of properties."""
    if _listener is not None:
        _listener(group.id_data)


def report_edit(group: Any, _context: bpy.types.Context) -> None:
    """Call the callback of ``listen_to_edits``, likewise."""
    if _edit_listener is not None:
        _edit_listener(group.id_data)
