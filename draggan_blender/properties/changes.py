# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports that a property was changed by a person or a script, and not by animation or undo."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import bpy

Listener = Callable[[Any], None]

_listener: Listener | None = None
_edit_listener: Listener | None = None
_name_listener: Listener | None = None
_is_quiet = False


def listen(listener: Listener | None) -> None:
    """Set the callback that receives the object or scene whose seed or truncation was changed."""
    global _listener
    _listener = listener


def listen_to_edits(listener: Listener | None) -> None:
    """Set the callback that receives the object of which an edit or a slider was changed."""
    global _edit_listener
    _edit_listener = listener


def listen_to_names(listener: Listener | None) -> None:
    """Set the callback that receives the object of which a slider was renamed."""
    global _name_listener
    _name_listener = listener


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Report no change of edits and sliders in a block, in which code sets them."""
    global _is_quiet
    before, _is_quiet = _is_quiet, True
    try:
        yield
    finally:
        _is_quiet = before


def report(group: Any, _context: bpy.types.Context) -> None:
    """Call the callback of ``listen``; this is the ``update`` function of properties."""
    if _listener is not None:
        _listener(group.id_data)


def report_edit(group: Any, _context: bpy.types.Context) -> None:
    """Call the callback of ``listen_to_edits``, likewise."""
    if _edit_listener is not None and not _is_quiet:
        _edit_listener(group.id_data)


def report_slider_name(group: Any, _context: bpy.types.Context) -> None:
    """Call the callback of ``listen_to_names``, likewise."""
    if _name_listener is not None and not _is_quiet:
        _name_listener(group.id_data)
