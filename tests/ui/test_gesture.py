# SPDX-License-Identifier: GPL-3.0-or-later
"""What events mean during a pull."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from draggan_blender.ui.gesture import Gesture, Mode, Reply, Shape


def gesture(*, can_be_region: bool = True, radius: float = 0.0) -> Gesture:
    return Gesture(
        (100.0, 100.0),
        start=(100.0, 100.0),
        start_px=(50.0, 60.0),
        threshold=3.0,
        shape=Shape(radius, 0.5, 2.0),
        units_per_px=0.01,
        can_be_region=can_be_region,
    )


def event(kind: str, value: str = "PRESS", **others: Any) -> Any:
    held = {"shift": False, "ctrl": False, "alt": False}
    return SimpleNamespace(type=kind, value=value, **(held | others))


def move(x: float, y: float, **others: Any) -> Any:
    return event("MOUSEMOVE", "NOTHING", mouse_region_x=x, mouse_region_y=y, **others)


def type_keys(pulled: Gesture, *keys: str) -> None:
    for key in keys:
        assert pulled.handle(event(key)) is Reply.CHANGED


def test_the_point_follows_the_mouse_after_the_threshold_and_outside_the_region() -> None:
    pulled = gesture()
    assert pulled.handle(move(102.0, 101.0)) is Reply.NOTHING
    assert not pulled.is_pulling
    assert pulled.handle(move(104.0, 100.0)) is Reply.CHANGED
    assert pulled.is_pulling
    assert pulled.position == (104.0, 100.0)
    pulled.handle(move(-50.0, 2000.0))
    assert pulled.position == (-50.0, 2000.0)
    assert pulled.handle(event("LEFTMOUSE", "RELEASE")) is Reply.RELEASED


def test_a_point_that_is_held_beside_its_middle_does_not_jump() -> None:
    pulled = Gesture(
        (100.0, 100.0),
        start=(94.0, 103.0),
        start_px=(50.0, 60.0),
        threshold=3.0,
        shape=Shape(0.0, 0.0, 1.0),
        units_per_px=0.01,
        can_be_region=True,
    )
    pulled.handle(move(110.0, 100.0))
    assert pulled.position == (104.0, 103.0)


@pytest.mark.parametrize("kind", ["ESC", "RIGHTMOUSE"])
def test_escape_and_the_right_button_take_the_gesture_back_at_any_time(kind: str) -> None:
    pulled = gesture()
    assert pulled.handle(event(kind)) is Reply.TAKEN_BACK
    pulled.handle(move(150.0, 100.0))
    type_keys(pulled, "R", "ONE")
    assert pulled.handle(event(kind)) is Reply.TAKEN_BACK


def test_shift_slows_the_point_down_without_a_jump() -> None:
    pulled = gesture()
    pulled.handle(move(150.0, 100.0))
    pulled.handle(move(160.0, 100.0, shift=True))
    assert pulled.position == pytest.approx((151.0, 100.0))
    pulled.handle(move(170.0, 100.0))
    assert pulled.position == pytest.approx((161.0, 100.0))


def test_ctrl_snaps_the_way_and_the_scene_s_magnet_turns_that_round() -> None:
    pulled = gesture()
    pulled.handle(move(150.0, 100.0))
    assert pulled.place_px((61.0, 60.0)) == (61.0, 60.0)
    assert pulled.handle(event("LEFT_CTRL", ctrl=True)) is Reply.CHANGED
    assert pulled.place_px((61.0, 67.0)) == (58.0, 68.0)
    pulled.handle(event("LEFT_SHIFT", ctrl=True, shift=True))
    assert pulled.place_px((61.3, 67.0)) == (61.0, 67.0)
    pulled.handle(event("LEFT_CTRL", "RELEASE", ctrl=False), snaps=True)
    assert pulled.place_px((61.0, 67.0)) == (58.0, 68.0)


def test_axes_and_typed_distances_are_those_of_blender() -> None:
    pulled = gesture()
    pulled.handle(move(150.0, 100.0))
    type_keys(pulled, "X")
    assert pulled.place_px((70.0, 90.0)) == (70.0, 60.0)
    type_keys(pulled, "Y")
    assert pulled.place_px((70.0, 90.0)) == (50.0, 90.0)
    type_keys(pulled, "ONE", "NUMPAD_2", "PERIOD", "FIVE")
    assert pulled.place_px((70.0, 90.0)) == (50.0, 72.5)
    type_keys(pulled, "MINUS")
    assert pulled.place_px((70.0, 90.0)) == (50.0, 47.5)
    type_keys(pulled, "MINUS", *["BACK_SPACE"] * 4)
    type_keys(pulled, "Y")
    assert pulled.place_px((70.0, 90.0)) == (70.0, 90.0)


def test_f_r_and_s_change_the_region_and_g_goes_on_without_a_jump() -> None:
    pulled = gesture(radius=0.1)
    pulled.handle(move(150.0, 100.0))
    type_keys(pulled, "F")
    pulled.handle(move(160.0, 130.0))
    shape = pulled.shape()
    assert (shape.radius, shape.angle, shape.scale) == pytest.approx((0.2, 0.5, 2.0))
    type_keys(pulled, "R")
    pulled.handle(move(180.0, 130.0))
    assert pulled.shape().angle == pytest.approx(0.5 + math.radians(10.0))
    type_keys(pulled, "FOUR", "FIVE")
    assert pulled.shape().angle == pytest.approx(0.5 + math.radians(45.0))
    type_keys(pulled, "S")
    pulled.handle(move(280.0, 130.0))
    assert pulled.shape().scale == pytest.approx(2.0 * math.exp(0.5))
    type_keys(pulled, "G")
    assert pulled.mode is Mode.MOVE
    assert pulled.position == (150.0, 100.0)
    pulled.handle(move(281.0, 130.0))
    assert pulled.position == (151.0, 100.0)


def test_the_wheel_sets_the_radius_with_alt_the_angle_and_with_shift_the_scale() -> None:
    pulled = gesture()
    type_keys(pulled, "WHEELUPMOUSE")
    assert pulled.shape().radius == pytest.approx(0.15)
    type_keys(pulled, "WHEELUPMOUSE")
    assert pulled.shape().radius == pytest.approx(0.165)
    pulled.handle(event("WHEELDOWNMOUSE", alt=True))
    assert pulled.shape().angle == pytest.approx(0.5 - math.radians(5.0))
    pulled.handle(event("WHEELUPMOUSE", shift=True))
    assert pulled.shape().scale == pytest.approx(2.2)


def test_turning_makes_a_point_a_region_and_a_pin_has_none() -> None:
    pulled = gesture()
    type_keys(pulled, "R")
    assert pulled.shape().radius > 0.0
    pin = gesture(can_be_region=False)
    for key in ("R", "S", "F", "WHEELUPMOUSE"):
        assert pin.handle(event(key)) is Reply.NOTHING
    assert not pin.is_pulling


def test_keys_without_a_meaning_change_nothing() -> None:
    pulled = gesture()
    for kind in ("A", "TAB", "Z", "SPACE", "RET"):
        assert pulled.handle(event(kind)) is Reply.NOTHING


def test_the_status_bar_says_the_way_and_the_keys() -> None:
    pulled = gesture()
    pulled.handle(move(150.0, 100.0))
    type_keys(pulled, "X", "EIGHT")
    text = pulled.text(pulled.place_px((70.0, 90.0)))
    assert "8.0 px" in text
    assert "along X" in text
    assert "Esc" in text
