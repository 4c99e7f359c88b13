# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of every class with values made from their type hints, boundaries included."""

from __future__ import annotations

import random
import typing
from dataclasses import fields, is_dataclass
from typing import Any

from draggan_blender.protocol import messages as m

_INTS = (0, 1, -1, 2**31, 2**63, -(2**70))
_FLOATS = (0.0, -0.0, 0.1, -1.5e300, 5e-324, 1 / 3, 1e22)
_TEXTS = ("", "a", 'with "quotes", \\ and \n', "Grüße 你好 🐒", "\0\x1f", "x" * 300)

#: Where a class asks for more than a type: field name -> possible values.
_PARTICULAR: dict[str, tuple[Any, ...]] = {
    "request_id": (1, 2, 2**63),
    "seed": (0, 1, 2**32 - 1),
    "stem": ("a", "Suzanne_drag-2", "9" * 64),
    "first_number": (1, 2, 10**6),
    "folder": ("/tmp", "C:\\Users\\Ä b", "x"),
}


def _value(name: str, hint: Any, source: random.Random) -> Any:
    if name in _PARTICULAR:
        return source.choice(_PARTICULAR[name])
    if hint is int:
        return source.choice((*_INTS, source.randrange(-1000, 1000)))
    if hint is bool:
        return source.choice((False, True))
    if hint is float:
        return source.choice((*_FLOATS, source.uniform(-1e6, 1e6)))
    if hint is str:
        return source.choice(_TEXTS)
    if hint is bytes:
        return source.randbytes(source.choice((0, 1, 7, 640, 5000)))
    if is_dataclass(hint):
        return make(typing.cast("type[m.Message]", hint), source)
    inner = typing.get_args(hint)
    if inner[-1] is Ellipsis:
        count = source.choice((1, 2, 5) if name == "pairs" else (0, 1, 5))
        inner = (inner[0],) * count
    return tuple(_value("", part, source) for part in inner)


def make(cls: type[m.Message], source: random.Random) -> m.Message:
    """A valid message (or part of one) of ``cls``."""
    hints = typing.get_type_hints(cls)
    values = {item.name: _value(item.name, hints[item.name], source) for item in fields(cls)}
    if cls is m.Preview:
        values["width"], values["height"] = source.choice(((1, 1), (3, 2), (16, 16)))
        values["pixels"] = source.randbytes(values["width"] * values["height"] * 16)
    if cls is m.DragFinished:
        values["frame_count"] = source.choice((1, 3))
        values["handles_px"] = source.randbytes(values["frame_count"] * 8 * source.choice((1, 5)))
    return cls(**values)


def one_of_each(seed: int) -> list[m.Message]:
    """A valid message of every class."""
    source = random.Random(seed)
    return [make(cls, source) for cls in m.ALL_MESSAGES]
