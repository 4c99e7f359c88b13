# SPDX-License-Identifier: GPL-3.0-or-later
"""How a drag is solved, as properties; made from the tables of drag options and of presets."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ..errors import EditError
from ..protocol.presets import CUSTOM, PRESETS, preset_of
from ..protocol.settings import DEFAULTS, IMAGE_PX, OPTIONS, DragSettings, Option

# Ends the name of the property that offers the sizes of a block; the number itself is stored in the
# option's own property, as files from before have it.
_CHOICE = "_choice"

# The sizes that a block can have, and 0, which chooses one.
_BLOCKS = (0, *(2**power for power in range(2, 11)))


def drawn_name(option: str) -> str:
    """Return the name of the property that a panel draws for an option."""
    return f"{option}{_CHOICE}" if OPTIONS[option].is_block else option


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
        return IntProperty(default=default, **limits, **texts)
    if option.digits is not None:
        limits["precision"] = option.digits
        limits["step"] = 0.01
    if option.unit == IMAGE_PX:
        limits["subtype"] = "PIXEL"
    return FloatProperty(default=float(default), **limits, **texts)


def _block_choice(name: str, option: Option) -> Any:
    """Return the property that shows the size of a block as a choice, with 0 as *Automatic*."""

    def read(group: Any) -> int:
        # A script can have set a size that is not a block's; the engine refuses it.
        size = getattr(group, name)
        return _BLOCKS.index(size) if size in _BLOCKS else 0

    def write(group: Any, index: int) -> None:
        setattr(group, name, _BLOCKS[index])

    items = [
        (str(size), f"{size} px", f"The block of {size} x {size} pixels", index)
        if size
        else ("AUTOMATIC", "Automatic", "The size that suits the model", index)
        for index, size in enumerate(_BLOCKS)
    ]
    return EnumProperty(
        name=option.label,
        description=option.description,
        items=items,
        get=read,
        set=write,
        options=set(),
    )


def _preset() -> Any:
    """Return the property that sets all options at once, and shows which preset they are."""
    names = [*(preset.name for preset in PRESETS), CUSTOM]

    def read(group: Any) -> int:
        return names.index(preset_of({name: getattr(group, name) for name in OPTIONS}))

    def write(group: Any, index: int) -> None:
        if names[index] != CUSTOM:
            for name, value in PRESETS[index].values.items():
                setattr(group, name, value)

    items = [
        (preset.name, preset.label, preset.description, index)
        for index, preset in enumerate(PRESETS)
    ]
    items.append((CUSTOM, "Custom", "Settings of your own; see Settings below", len(PRESETS)))
    return EnumProperty(
        name="Preset",
        description="Sets all settings of drags and bakes",
        items=items,
        get=read,
        set=write,
        options=set(),
    )


def _is_automatic() -> Any:
    """Return the property that chooses between *Automatic* and the slider *Typical - Free*."""

    def read(group: Any) -> bool:
        return bool(group.latent_space == "automatic")

    def write(group: Any, value: bool) -> None:
        group.latent_space = "automatic" if value else "by_hand"

    return BoolProperty(
        name="Automatic",
        description="Choose by the handles of each drag: where they move all over the picture, it "
        "stays typical of the model; where they are close together, little else moves",
        get=read,
        set=write,
        options=set(),
    )


class DRAGGAN_PG_drag(bpy.types.PropertyGroup):
    """How a drag is solved: one property for each field of ``DragSettings``, and choices of them.

    Only those properties are stored; ``preset``, ``is_automatic`` and the choices read and write
    them.
    """

    # Blender reads the properties of a class from its annotations.
    __annotations__ = {
        **{name: _property(option, DEFAULTS[name]) for name, option in OPTIONS.items()},
        **{
            drawn_name(name): _block_choice(name, option)
            for name, option in OPTIONS.items()
            if option.is_block
        },
        "is_automatic": _is_automatic(),
        "preset": _preset(),
    }


def drag_settings(group: Any) -> DragSettings:
    """Return the values of a ``DRAGGAN_PG_drag`` as the settings that the protocol sends.

    Raises:
        EditError: The file was saved by a later version, with a choice that is not known here.
    """
    values = {name: getattr(group, name) for name in OPTIONS}
    for name, value in values.items():
        if OPTIONS[name].choices and not value:
            raise EditError(
                f"{OPTIONS[name].label} has a value of a later version of this extension; choose "
                "another under Settings, or a preset"
            )
    return DragSettings(**values)
