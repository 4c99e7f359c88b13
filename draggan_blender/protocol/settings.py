# SPDX-License-Identifier: GPL-3.0-or-later
"""How a drag is solved: the one table of drag options.

Everything that needs an option is made from this table: the settings in the ``Drag`` request, the
engine's checked ``DragOptions``, Blender's properties, the panel, and the command line. To add an
option, add a field to ``DragSettings`` and use it in a method.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

# Units of lengths. Feature pixels are pixels of the feature block that is read, so that a length
# means the same at every image size; the block is 128 px wide in the usual models. A length in
# pixels of a map of 128 px covers the same part of a map of another size.
FEATURE_PX = "feature pixels"
FEATURE_PX_OF_128 = "feature pixels of a map of 128 px"
IMAGE_PX = "image pixels"

# The largest length in feature pixels that any option accepts.
_WIDEST = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the values that an option can have, with its label and description."""

    value: str
    label: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What the panel offers of a number; a script can set no other values in Blender.

    Attributes:
        least: The smallest value.
        most: The largest value.
        soft_least: The smallest value that the slider reaches, or None for ``least``.
        soft_most: The largest value that the slider reaches, or None for ``most``.
    """

    least: float
    most: float
    soft_least: float | None = None
    soft_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What is known about an option besides its value.

    Attributes:
        label: Its label in the panel.
        description: What it does, without a full stop; for tooltips and ``--help``.
        unit: The unit of a length, or empty.
        least: The smallest value that the engine accepts.
        excludes_least: Whether ``least`` itself is refused.
        most: The largest value that the engine accepts.
        is_block: Whether it is 0 or the size of a block: a power of two from 4 on.
        panel: What the panel offers of a number.
        digits: How many digits the panel shows after the point, or None for Blender's default.
        choices: The values of a text. Blender stores the position in this list: never reorder.
        methods: The methods that use it; empty for all.
        group: Where the panel shows it: ``method``, ``ending``, ``features``, ``tuning``,
            ``hold`` or ``mask``.
        place: Where in the group: a smaller number is further up; equal ones are in table order.
    """

    label: str
    description: str
    group: str
    place: int = 0
    unit: str = ""
    least: float = 0.0
    excludes_least: bool = False
    most: float = math.inf
    is_block: bool = False
    panel: Range | None = None
    digits: int | None = None
    choices: tuple[Choice, ...] = ()
    methods: tuple[str, ...] = ()

    @property
    def full_description(self) -> str:
        """The description with the unit."""
        return f"{self.description}, in {self.unit}" if self.unit else self.description


def _option(default: str | float, **facts: Any) -> Any:
    """Return a dataclass field whose metadata holds an ``Option``."""
    return dataclasses.field(default=default, metadata={"option": Option(**facts)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DragSettings:
    """The values of all options, as they are sent; the engine checks them (``DragOptions``).

    Attributes:
        LATER: The options that edit files from before them lack, with a value that means the same.
    """

    LATER: ClassVar[Mapping[str, Any]] = {"freedom": 0.0, "mask_mode": "soft", "softness": 0.0}

    method: str = _option(
        "linearised",
        label="Method",
        description="How the handles are moved",
        group="method",
        choices=(
            Choice(
                value="draggan",
                label="DragGAN",
                description="Motion supervision and point tracking, as published: push the content "
                "at the handles, then track where it has moved",
            ),
            Choice(
                value="freedrag",
                label="FreeDrag",
                description="Move the handles along straight lines and compare with the features "
                "seen at the start: nothing is tracked, so a handle cannot be lost",
            ),
            Choice(
                value="linearised",
                label="Least Squares",
                description="A few large steps, each the smallest change of the image that moves "
                "the handles as wanted: fast, and changes little else",
            ),
        ),
    )
    latent_space: str = _option(
        "automatic",
        label="Latent Space",
        description="What the drag may change",
        group="method",
        choices=(
            Choice(
                value="w+",
                label="W+",
                description="One latent for each layer: the drag can do more",
            ),
            Choice(
                value="w",
                label="W",
                description="One latent for all layers: the image stays more typical of the model",
            ),
            Choice(
                value="principal",
                label="Principal",
                description="All layers nearly alike, along the principal components of W: the "
                "image stays most typical of the model",
            ),
            Choice(
                value="automatic",
                label="Automatic",
                description="As Principal; Least Squares also changes as little as it can away "
                "from the handles, and chooses by the handles how much that counts",
            ),
            Choice(
                value="by_hand",
                label="Typical - Free",
                description="As Automatic, but the slider Typical - Free says how much it counts",
            ),
        ),
    )
    freedom: float = _option(
        0.67,
        label="Typical - Free",
        description="Typical: the picture stays like others of the model, and all of it may move "
        "along. Free: little moves but what is near the handles, which may look unusual",
        group="method",
        place=1,
        most=1.0,
        panel=Range(least=0.0, most=1.0),
        methods=("linearised",),
    )
    num_layers: int = _option(
        6,
        label="Layers",
        description="How many layers the drag may change, counted from the coarsest; more layers "
        "reach finer detail and colour",
        group="method",
        least=1,
        panel=Range(least=1, most=18),
    )
    feature_resolution: int = _option(
        0,
        label="Feature Size",
        description="Size of the block whose features are compared, in pixels; automatically 128, "
        "or the last block of a smaller model; 0 on the command line",
        group="features",
        is_block=True,
        panel=Range(least=0, most=1024),
    )
    mask_resolution: int = _option(
        0,
        label="Mask Features",
        description="Size of the block whose features the mask holds, in pixels; automatically the "
        "first block that comes after all layers that may change; 0 on the command line",
        group="mask",
        place=1,
        is_block=True,
        panel=Range(least=0, most=1024),
    )
    r1: float = _option(
        3.0,
        label="Motion Radius",
        description="Radius of the disc around a handle that is moved with it",
        group="tuning",
        place=2,
        unit=FEATURE_PX,
        most=_WIDEST,
        panel=Range(least=0.5, most=_WIDEST, soft_most=10.0),
        methods=("draggan", "linearised"),
    )
    r2: float = _option(
        1.5,
        label="Search Radius",
        description="Half the width of the square in which a handle is searched for after each "
        "step",
        group="tuning",
        place=3,
        unit=FEATURE_PX,
        excludes_least=True,
        most=_WIDEST,
        panel=Range(least=0.5, most=_WIDEST, soft_most=24.0),
        methods=("draggan", "linearised"),
    )
    tracking_radius: float = _option(
        3.0,
        label="Tracking Radius",
        description="Radius of the disc whose features a handle is found by; 0 compares the "
        "feature at the handle only, as published",
        group="tuning",
        place=4,
        unit=FEATURE_PX,
        most=_WIDEST,
        panel=Range(least=0.0, most=_WIDEST, soft_most=8.0),
        methods=("draggan", "linearised"),
    )
    step_length: float = _option(
        1.0,
        label="Step Length",
        description="How far each step asks the handles to move",
        group="tuning",
        place=1,
        unit=FEATURE_PX,
        excludes_least=True,
        most=_WIDEST,
        panel=Range(least=0.05, most=16.0, soft_most=4.0),
        methods=("draggan",),
    )
    step_size: float = _option(
        2e-3,
        label="Step Size",
        description="Learning rate of the optimiser on the latent: higher is faster and rougher",
        group="tuning",
        excludes_least=True,
        most=100.0,
        panel=Range(least=1e-6, most=1.0, soft_most=2e-2),
        digits=5,
        methods=("draggan", "freedrag"),
    )
    sub_motion_loss: float = _option(
        0.3,
        label="Expected Change",
        description="How much the features at a handle may differ from its template before the "
        "handle is moved on",
        group="tuning",
        place=1,
        excludes_least=True,
        most=2.0,
        panel=Range(least=0.01, most=2.0, soft_least=0.1, soft_most=0.5),
        methods=("freedrag",),
    )
    sub_motion_distance: float = _option(
        3.0,
        label="Longest Move",
        description="How far a handle is moved at once",
        group="tuning",
        place=2,
        unit=FEATURE_PX_OF_128,
        excludes_least=True,
        most=_WIDEST,
        panel=Range(least=0.1, most=_WIDEST, soft_least=1.0, soft_most=6.0),
        methods=("freedrag",),
    )
    linear_reach: float = _option(
        3.0,
        label="Reach",
        description="How far one step may move a handle: a longer reach is faster and less "
        "reliable",
        group="tuning",
        unit=FEATURE_PX_OF_128,
        excludes_least=True,
        most=_WIDEST,
        panel=Range(least=0.1, most=_WIDEST, soft_least=0.5, soft_most=6.0),
        methods=("linearised",),
    )
    mask_mode: str = _option(
        "exact",
        label="Hold",
        description="What happens where the mask is black",
        group="hold",
        choices=(
            Choice(
                value="exact",
                label="Exactly",
                description="Nothing changes there, not one pixel: the drag changes a part of the "
                "image, and can do what the model would do to the whole image only",
            ),
            Choice(
                value="soft",
                label="Softly",
                description="Changes there are held back, as published: the image stays of one "
                "piece, and everything may change a little",
            ),
        ),
    )
    softness: float = _option(
        4.0,
        label="Softness",
        description="How wide the change fades in from the border of what is held exactly",
        group="hold",
        unit=IMAGE_PX,
        most=_WIDEST,
        panel=Range(least=0.0, most=_WIDEST, soft_most=32.0),
    )
    mask_weight: float = _option(
        20.0,
        label="Mask Weight",
        description="How strongly the image is held where the mask is black; with an exact mask, "
        "how strongly the inside is kept in line with what is around it; 0 does neither",
        group="mask",
        most=1e6,
        panel=Range(least=0.0, most=10000.0, soft_most=100.0),
    )
    tolerance_px: float = _option(
        1.0,
        label="Tolerance",
        description="How close to its target a handle must be to have reached it",
        group="ending",
        place=1,
        unit=IMAGE_PX,
        panel=Range(least=0.05, most=256.0, soft_most=8.0),
    )
    max_steps: int = _option(
        200,
        label="Step Limit",
        description="The drag ends after this many steps; on the command line, 0 sets no limit",
        group="ending",
        panel=Range(least=1, most=100000, soft_most=1000),
    )
    patience: int = _option(
        40,
        label="Patience",
        description="The drag ends after this many steps without progress; on the command line, 0 "
        "never ends it",
        group="ending",
        panel=Range(least=1, most=100000, soft_most=200),
    )


# Name -> option, in the order of the table.
OPTIONS: dict[str, Option] = {
    item.name: item.metadata["option"] for item in dataclasses.fields(DragSettings)
}

# Name -> value.
DEFAULTS: dict[str, str | int | float] = {
    item.name: item.default for item in dataclasses.fields(DragSettings)
}


def values_of(option: str) -> tuple[str, ...]:
    """Return the values that a text option can have, in the order of the table."""
    return tuple(choice.value for choice in OPTIONS[option].choices)


def in_panel(group: str, method: str) -> list[str]:
    """Return the names of the options that the panel shows in a group while a method is chosen."""
    shown = [
        name
        for name, option in OPTIONS.items()
        if option.group == group and (not option.methods or method in option.methods)
    ]
    return sorted(shown, key=lambda name: OPTIONS[name].place)
