# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of the drag options, by what a person wants; a table on top of that of the options."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .settings import DEFAULTS

Value = str | int | float

# What ``preset_of`` returns for values of no preset.
CUSTOM = "CUSTOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Values for all options: the defaults, except for ``changes``.

    Attributes:
        name: Identifies it in scripts.
        label: Its label in the panel.
        description: What it is good for, without a full stop.
        changes: Option -> value, where it differs from the default.
    """

    name: str
    label: str
    description: str
    changes: Mapping[str, Value] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Value]:
        """The value of every option."""
        return {**DEFAULTS, **self.changes}


PRESETS = (
    Preset(
        name="BALANCED",
        label="Balanced",
        description="Fast and close to the targets, and the image stays typical of the model",
    ),
    Preset(
        name="CAREFUL",
        label="Careful",
        description="Half as long steps, and all layers change alike: slower, and the image stays "
        "most typical of the model",
        changes={"latent_space": "w", "linear_reach": 1.5},
    ),
    Preset(
        name="FREE",
        label="Free",
        description="Little moves but what is near the handles: can do what the model has not "
        "often seen, and may distort the image",
        changes={"latent_space": "by_hand", "freedom": 0.85},
    ),
    Preset(
        name="PAPER",
        label="Exact Paper",
        description="The method and the settings that DragGAN was published with, for comparisons: "
        "many small steps",
        changes={
            "method": "draggan",
            "latent_space": "w+",
            "num_layers": 6,
            "mask_mode": "soft",
            "mask_resolution": 128,
            "r1": 3.0,
            "r2": 12.0,
            "tracking_radius": 0.0,
            "step_length": 1.0,
            "step_size": 2e-3,
            "mask_weight": 20.0,
            "tolerance_px": 1.0,
            "max_steps": 300,
            "patience": 300,
        },
    ),
)


def preset_of(values: Mapping[str, Value]) -> str:
    """Return the name of the preset with these values, or ``CUSTOM``.

    Args:
        values: The value of every option; a number may have been rounded to a float32.
    """
    for preset in PRESETS:
        if all(_equal(values[name], value) for name, value in preset.values.items()):
            return preset.name
    return CUSTOM


def _equal(found: Value, wanted: Value) -> bool:
    if isinstance(found, str) or isinstance(wanted, str):
        return found == wanted
    return math.isclose(found, wanted, rel_tol=1e-6)
