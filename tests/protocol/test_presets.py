# SPDX-License-Identifier: GPL-3.0-or-later
"""The presets of the drag options: the engine takes them, and they are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from draggan_blender.protocol.presets import CUSTOM, PRESETS, Preset, preset_of
from draggan_blender.protocol.settings import DEFAULTS, OPTIONS
from engine.solving.options import DragOptions

by_name = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)


@by_name
def test_the_engine_and_the_panel_accept_each_preset(preset: Preset) -> None:
    assert set(preset.changes) <= set(OPTIONS)
    values: dict[str, Any] = preset.values
    DragOptions(**values)
    for name, value in preset.values.items():
        shown = OPTIONS[name].panel
        if shown is not None:
            assert not isinstance(value, str)
            assert shown.least <= value <= shown.most


@by_name
def test_a_preset_is_recognised_although_blender_rounds_numbers(preset: Preset) -> None:
    rounded = {
        name: float(np.float32(value)) if isinstance(value, float) else value
        for name, value in preset.values.items()
    }
    assert preset_of(rounded) == preset.name


def test_the_defaults_are_the_first_preset_and_another_value_is_of_none() -> None:
    assert preset_of(DEFAULTS) == PRESETS[0].name
    assert preset_of({**DEFAULTS, "patience": 41}) == CUSTOM
    assert preset_of({**DEFAULTS, "latent_space": "w"}) == CUSTOM
