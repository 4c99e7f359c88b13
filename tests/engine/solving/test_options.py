# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from draggan_blender.protocol.settings import DEFAULTS, OPTIONS, DragSettings, in_panel
from engine.errors import RequestError
from engine.solving.methods import METHODS
from engine.solving.options import METHOD_NAMES, DragOptions


def test_the_defaults_of_the_table_are_usable_options() -> None:
    assert asdict(DragOptions()) == asdict(DragSettings()) == DEFAULTS


@pytest.mark.parametrize("name", OPTIONS)
def test_what_the_panel_offers_is_accepted(name: str) -> None:
    option = OPTIONS[name]
    values: list[Any] = [choice.value for choice in option.choices]
    if option.panel is not None:
        kind = type(DEFAULTS[name])
        values = [kind(option.panel.least), kind(option.panel.most)]
    assert values
    for value in values:
        DragOptions(**{name: value})


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_fully_described(name: str) -> None:
    option = OPTIONS[name]
    assert option.label and option.description and not option.description.endswith(".")
    assert set(option.methods) <= set(METHOD_NAMES)
    assert any(name in in_panel(option.group, method) for method in METHOD_NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "magic"),
        ("latent_space", "z"),
        ("num_layers", 0),
        ("feature_resolution", 100),
        ("mask_resolution", 2),
        ("r1", -1.0),
        ("r1", 1e9),
        ("r2", 0.0),
        ("step_length", float("nan")),
        ("step_size", 0.0),
        ("tracking_radius", -0.5),
        ("tracking_radius", 65.0),
        ("sub_motion_loss", 0.0),
        ("sub_motion_distance", float("inf")),
        ("linear_reach", 0.0),
        ("mask_weight", float("inf")),
        ("tolerance_px", -1.0),
        ("max_steps", -1),
        ("patience", -1),
    ],
)
def test_an_option_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=name):
        DragOptions(**{name: value})


def test_every_method_that_can_be_named_exists() -> None:
    assert tuple(METHODS) == METHOD_NAMES


def test_a_drag_needs_a_rule_that_ends_it() -> None:
    with pytest.raises(RequestError, match="must not both be 0"):
        DragOptions(max_steps=0, patience=0)


def test_the_panel_shows_the_options_of_a_method_in_the_order_of_their_use() -> None:
    expected = {
        "draggan": ["step_size", "step_length", "r1", "r2", "tracking_radius"],
        "freedrag": ["step_size", "sub_motion_loss", "sub_motion_distance"],
        "linearised": ["linear_reach", "r1", "r2", "tracking_radius"],
    }
    for method, names in expected.items():
        assert in_panel("tuning", method) == names
        assert in_panel("ending", method) == ["max_steps", "patience", "tolerance_px"]
        assert in_panel("mask", method) == ["mask_weight", "mask_resolution"]


def test_an_integer_of_any_size_is_an_option_or_a_request_error() -> None:
    assert DragOptions(max_steps=10**400).max_steps == 10**400
    with pytest.raises(RequestError, match="tolerance_px"):
        DragOptions(tolerance_px=float("inf"))
