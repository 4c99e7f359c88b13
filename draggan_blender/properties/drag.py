# SPDX-License-Identifier: GPL-3.0-or-later
"""How a drag is solved, as properties; made from the table of drag options."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty

from ..protocol.settings import DEFAULTS, OPTIONS, DragSettings, Option


def _property(option: Option, default: str | int | float) -> Any:
    """Return the property of an option."""
    texts: dict[str, Any] = {"name": option.label, "description": option.full_description}
    if option.choices:
        items = [(choice.value, choice.label, choice.description) for choice in option.choices]
        return EnumProperty(items=items, default=str(default), **texts)
    shown = option.panel
    assert shown is not None, f"{option.label} is a number without a range for the panel"
    limits: dict[str, Any] = {
        "min": shown.least,
        "max": shown.most,
        "soft_min": shown.least if shown.soft_least is None else shown.soft_least,
        "soft_max": shown.most if shown.soft_most is None else shown.soft_most,
    }
    if isinstance(default, int):
        limits = {name: int(limit) for name, limit in limits.items()}
        limits["subtype"] = "PIXEL" if option.is_block else "NONE"
        return IntProperty(default=default, **limits, **texts)
    if option.digits is not None:
        limits["precision"] = option.digits
        limits["step"] = 0.01
    return FloatProperty(default=float(default), **limits, **texts)


class DRAGGAN_PG_drag(bpy.types.PropertyGroup):
    """How a drag is solved: one property for each field of ``DragSettings``."""

    # Blender reads the properties of a class from its annotations.
    __annotations__ = {name: _property(option, DEFAULTS[name]) for name, option in OPTIONS.items()}


def drag_settings(group: Any) -> DragSettings:
    """Return the values of a ``DRAGGAN_PG_drag`` as the settings that the protocol sends."""
    return DragSettings(**{name: getattr(group, name) for name in OPTIONS})
