# SPDX-License-Identifier: GPL-3.0-or-later
"""Random messages of every class, with values from their type hints and limits."""

from __future__ import annotations

import random
import typing
from dataclasses import fields, is_dataclass, replace
from typing import Any

from draggan_blender.protocol import (
    direction_messages,
    drag_messages,
    explore,
    library,
    many,
    own_picture,
    parts,
    timeline,
)
from draggan_blender.protocol import messages as m
from draggan_blender.protocol.codec import ALL_MESSAGES
from draggan_blender.protocol.losses import LOSS_NAMES
from draggan_blender.protocol.settings import DragSettings

_INTS = (0, 1, -1, 2**31, 2**63, -(2**70))
_FLOATS = (0.0, -0.0, 0.1, -1.5e300, 5e-324, 1 / 3, 1e22)
_TEXTS = ("", "a", 'with "quotes", \\ and \n', "Grüße 你好 🐒", "\0\x1f", "x" * 300)

# Field name -> possible values, for fields whose class checks more than the type.
_PARTICULAR: dict[str, tuple[Any, ...]] = {
    "request_id": (1, 2, 2**63),
    "seed": (0, 1, 2**32 - 1),
    "label": (-1, 0, 65535),
    "stem": ("a", "Suzanne_drag-2", "9" * 64),
    "first_number": (1, 2, 10**6),
    "folder": ("/tmp", "C:\\Users\\Ä b", "x"),
    "latents": (b"\0\0\x80?", b"1234" * 100),
    "first_row": (0, 1, 10**6),
    "row_count": (0, 1, 10**6),
    "smoothing": (0.0, 0.5, 1e3),
    "radius_px": (0.0, 0.5, 1e4),
    "scale": (1.0, 1e-3, 7.5),
    "index": (0, 5, 2**31),
    "seeds": ((0,), (7, 2**32 - 1)),
    "size_px": (1, 96, 4096),
    "steps": (1, 2, 10**6),
    "latent_path": ("w.npz", "Grüße/0.pt"),
}
_NEVER_EMPTY = ("pairs", "handles_px", "handles", "points_px")


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
        return make(typing.cast("type[Any]", hint), source)
    inner = typing.get_args(hint)
    if inner[-1] is Ellipsis:
        count = source.choice((1, 2, 5) if name in _NEVER_EMPTY else (0, 1, 5))
        inner = (inner[0],) * count
    return tuple(_value("", part, source) for part in inner)


def make(cls: type[Any], source: random.Random) -> Any:
    """Return a valid message, or part of a message, of a class."""
    hints = typing.get_type_hints(cls)
    values = {item.name: _value(item.name, hints[item.name], source) for item in fields(cls)}
    values |= _fitting(cls, source)
    if issubclass(cls, drag_messages.Drag):
        _continue(values, source)
    if cls is timeline.RenderLatents:
        size = len(values["latents"])
        values["sizes"] = source.choice(((), (size,), (1, size - 1)))
    if cls is timeline.Edit:
        _sample_timeline(values, source)
    if "pairs" in values:
        values["pairs"] = tuple(
            replace(pair, key=key) for key, pair in enumerate(values["pairs"], start=1)
        )
    if cls in (drag_messages.DragFinished, timeline.BakeFinished):
        values["frame_count"] = source.choice((1, 3))
        handles = len(values.get("handles", ())) or source.choice((1, 5))
        size = values["frame_count"] * 8 * handles
        values["handles_px"] = source.randbytes(size)
        values["turns"] = source.choice((b"", source.randbytes(size)))
    return cls(**values)


def _fitting(cls: type[Any], source: random.Random) -> dict[str, Any]:
    """Return values of fields that must fit each other."""
    if cls in (drag_messages.Preview, explore.SeedThumbnail, direction_messages.StripPicture):
        width, height = source.choice(((1, 1), (3, 2), (16, 16)))
        return {
            "width": width,
            "height": height,
            "pixels": source.randbytes(width * height * 16),
        }
    if cls is library.ModelAdded:
        width, height = source.choice(((1, 1), (3, 2), (16, 16)))
        return {
            "thumbnail_width": width,
            "thumbnail_height": height,
            "pixels": source.randbytes(width * height * 16),
        }
    if cls is parts.PartsFound:
        rows, columns = source.choice(((1, 1), (2, 3), (8, 8)))
        return {
            "rows": rows,
            "columns": columns,
            "parents": source.randbytes(4 * (2 * rows * columns - 1)),
            "heights": source.randbytes(4 * (rows * columns - 1)),
        }
    if cls is many.AppliedToOne:
        return {"width": 2, "height": 1, "pixels": source.randbytes(32)}
    if cls is many.ApplyToMany:
        wanted: dict[str, Any] = source.choice(
            (
                {"seeds": (3, 4), "pictures": b"", "sizes": (), "image_paths": ("a.png", "b.png")},
                {"seeds": (), "pictures": b"12345", "sizes": (2, 3), "image_paths": ()},
            )
        )
        return wanted
    if cls is direction_messages.PictureStrip:
        sizes = source.choice(((3,), (1, 2, 7)))
        return {"sizes": sizes, "pictures": source.randbytes(sum(sizes))}
    if cls is own_picture.Alignment:
        return {"size_px": source.choice((8.0, 1e4))}
    if cls is own_picture.InvertPicture:
        is_tuned, has_noise = source.choice((True, False)), source.choice((True, False))
        return {
            "loss": source.choice(LOSS_NAMES),
            "noise": has_noise,
            "tune": is_tuned,
            "difference_path": "a.safetensors" if is_tuned or has_noise else "",
        }
    if cls is own_picture.BlendBack:
        return source.choice(
            (
                {"latent": b"1234", "track": b"", "image_path": "a.png"},
                {"latent": b"", "track": b"1234", "image_path": ""},
            )
        )
    return {}


def _sample_timeline(values: dict[str, Any], source: random.Random) -> None:
    """Set the values of an edit that depend on each other: its frames, targets and spans."""
    first, count = values["first_number"], source.choice((1, 2, 48))
    values["targets_px"] = source.randbytes(8 * len(values["handles_px"]) * count)
    regions = source.choice((False, True))
    values["radii_px"] = tuple(source.random() for _ in values["handles_px"]) if regions else ()
    values["turns"] = source.randbytes(len(values["targets_px"])) if regions else b""
    values["truncation_psi"] = source.choice(((), tuple(source.random() for _ in range(count))))
    edits = source.choice((0, 1, 3))
    values["layered"] = source.randbytes(9) if edits else b""
    values["strengths"] = tuple(source.random() for _ in range(edits * count))
    sliders = source.choice((0, 1, 2))
    values["sliders"] = source.randbytes(12) if sliders else b""
    values["slider_changes"] = tuple(source.uniform(-3, 3) for _ in range(sliders * count))
    values["settings"] = tuple(
        timeline.SettingsFrom(number=first + 3 * index, settings=make(DragSettings, source))
        for index in range(source.choice((1, 2)))
    )
    values["mask_spans"] = tuple(
        timeline.MaskFrom(number=first + index, index=index) for index in range(2)
    )


def one_of_each(seed: int) -> list[m.Message]:
    """Return a valid message of every class."""
    source = random.Random(seed)
    return [make(cls, source) for cls in ALL_MESSAGES]


def _continue(values: dict[str, Any], source: random.Random) -> None:
    """Make values for a drag that begins a sequence, or for one that continues it."""
    values["earliest"] = values["latest"] = 0
    if source.choice((False, True)):
        values["earlier_track"], values["earlier_count"] = source.randbytes(20), 3
        values["earlier_keys"], values["earlier_stem"] = (1, 2), "drag"
        values["earlier_folder"] = "/tmp"
    else:
        values["earlier_track"], values["earlier_count"] = b"", 0
        values["earlier_keys"], values["earlier_stem"], values["earlier_folder"] = (), "", ""
        if source.choice((False, True)):
            first = values["frames"].first_number
            values["earliest"], values["latest"] = 1, first + 9
