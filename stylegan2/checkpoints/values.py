# SPDX-License-Identifier: GPL-3.0-or-later
"""Dictionaries in the value of an ``InertPickle``, whatever class the file says they are of."""

from __future__ import annotations

from collections.abc import Mapping

from .inert_pickle import GlobalName, Node

_CLASSES = frozenset(
    GlobalName(module, name)
    for module, name in (
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("dnnlib.util", "EasyDict"),
        ("dnnlib", "EasyDict"),
        ("builtins", "dict"),
        ("__builtin__", "dict"),
    )
)


def entries_of(value: object) -> Mapping[object, object] | None:
    """Return the entries of any of the dictionary types in checkpoints; None for other values."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Node) and value.callee in _CLASSES:
        return value.entries
    return None
