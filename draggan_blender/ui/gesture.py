# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mouse and the keys mean from the press to the release of a pull.

A ``Gesture`` receives Blender's events and works out where the point should be and how a region
should be turned and scaled. The keys are those of Blender's own transforms. Nothing here needs
``bpy``, so that every sequence of events can be tested without a window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

# With Shift held, the mouse moves the point by this part of its own movement.
_PRECISE = 0.1
# With Ctrl held, the way is a multiple of these: image pixels, without and with Shift.
_SNAP_PX, _FINE_SNAP_PX = 8.0, 1.0
# Turning and scaling with Ctrl held: steps of an angle and of a factor.
_SNAP_ANGLE, _SNAP_SCALE = math.radians(15.0), 0.1
# A px of the mouse to the right turns by this angle; 200 px scale by e.
_ANGLE_PER_PX, _SCALE_PER_PX = math.radians(0.5), 1.0 / 200.0
# What one notch of the wheel does.
_WHEEL_ANGLE, _WHEEL_FACTOR = math.radians(5.0), 1.1
# The radius that a point gets when it becomes a region; the longer side of an image is 2 units.
_FIRST_RADIUS = 0.15

_DIGITS = {
    name: str(n)
    for n, name in enumerate(
        ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
    )
} | {f"NUMPAD_{n}": str(n) for n in range(10)}
_POINTS = {"PERIOD", "NUMPAD_PERIOD", "COMMA"}
_MINUS = {"MINUS", "NUMPAD_MINUS"}
_MOVES = {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"}
_BACK = {"ESC", "RIGHTMOUSE"}


class Reply(Enum):
    """What an event has changed."""

    NOTHING = "nothing"
    # The point has another place, or the region another size or direction.
    CHANGED = "changed"
    RELEASED = "released"
    TAKEN_BACK = "taken back"


class Mode(Enum):
    """What the movement of the mouse changes; the value is what the status bar shows."""

    MOVE = "Move"
    TURN = "Turn"
    SCALE = "Scale"
    RADIUS = "Radius"


_MODE_KEYS = {"G": Mode.MOVE, "R": Mode.TURN, "S": Mode.SCALE, "F": Mode.RADIUS}


@dataclass(frozen=True, slots=True)
class Shape:
    """The radius of a region in the plane's units, and the angle and scale of its target."""

    radius: float
    angle: float
    scale: float


class Gesture:
    """The state of a pull from the press on.

    Attributes:
        is_pulling: Whether the mouse has left the place of the press, or a key has moved the point.
        mode: What the movement of the mouse changes.
        axis: The axis of the image that the point is held on: 0, 1, or None.
        typed: The number that was typed.
    """

    def __init__(
        self,
        press: tuple[float, float],
        *,
        start: tuple[float, float],
        start_px: tuple[float, float],
        threshold: float,
        shape: Shape,
        units_per_px: float,
        can_be_region: bool,
    ) -> None:
        """Begin at a press.

        Args:
            press: Where the mouse was pressed, px of the view's region.
            start: Where the point was then, likewise.
            start_px: The same place in image pixels, with the y axis upwards.
            threshold: How far the mouse has to move before the point follows it, px.
            shape: The region of the point.
            units_per_px: How many of the plane's units a px of the region is.
            can_be_region: Whether the point can have a radius, and be turned and scaled.
        """
        self.is_pulling = False
        self.mode = Mode.MOVE
        self.axis: int | None = None
        self.typed = ""
        self._press = self._last = press
        self._position = start
        self._start_px = start_px
        self._threshold = threshold
        self._shape = shape
        self._units_per_px = units_per_px
        self._can_be_region = can_be_region
        # What mouse and wheel have added: an angle, the logarithm of a factor, a radius.
        self._turned = self._grown = self._widened = 0.0
        self._is_snapped = self._is_precise = False

    @property
    def position(self) -> tuple[float, float]:
        """Where the mouse has pulled the point to, px of the region; it may be outside it."""
        return self._position

    def handle(self, event: Any, *, snaps: bool = False) -> Reply:
        """Process one event.

        Args:
            event: Blender's ``Event``, or anything with the same attributes.
            snaps: Whether the scene snaps, so that Ctrl means the opposite.
        """
        if event.type in _BACK and event.value == "PRESS":
            return Reply.TAKEN_BACK
        if event.type == "LEFTMOUSE" and event.value == "RELEASE":
            return Reply.RELEASED
        before = self._is_snapped
        self._is_precise, self._is_snapped = event.shift, event.ctrl != snaps
        if event.type in _MOVES:
            return self._move((event.mouse_region_x, event.mouse_region_y))
        if event.value == "PRESS" and (self._key(event) or self._wheel(event)):
            self.is_pulling = True
            return Reply.CHANGED
        is_changed = self.is_pulling and before != self._is_snapped
        return Reply.CHANGED if is_changed else Reply.NOTHING

    def _move(self, mouse: tuple[float, float]) -> Reply:
        if not self.is_pulling:
            if math.dist(mouse, self._press) < self._threshold:
                return Reply.NOTHING
            self.is_pulling = True
        part = _PRECISE if self._is_precise else 1.0
        dx, dy = ((new - old) * part for new, old in zip(mouse, self._last, strict=True))
        self._last = mouse
        if self.mode is Mode.MOVE:
            self._position = (self._position[0] + dx, self._position[1] + dy)
        elif self.mode is Mode.TURN:
            self._turned += dx * _ANGLE_PER_PX
        elif self.mode is Mode.SCALE:
            self._grown += dx * _SCALE_PER_PX
        else:
            self._widened += dx * self._units_per_px
        return Reply.CHANGED

    def _key(self, event: Any) -> bool:
        """Use a key, and return whether it has a meaning."""
        kind = event.type
        if kind in ("X", "Y"):
            axis = "XY".index(kind)
            self.axis = None if self.axis == axis else axis
        elif kind in _MODE_KEYS and (self._can_be_region or kind == "G"):
            self.mode, self.typed = _MODE_KEYS[kind], ""
        elif kind in _DIGITS:
            self.typed += _DIGITS[kind]
        elif kind in _POINTS and "." not in self.typed:
            self.typed += "."
        elif kind in _MINUS:
            self.typed = self.typed[1:] if self.typed.startswith("-") else f"-{self.typed}"
        elif kind == "BACK_SPACE" and self.typed:
            self.typed = self.typed[:-1]
        else:
            return False
        return True

    def _wheel(self, event: Any) -> bool:
        """Use the wheel: the radius, with Alt the angle, with Shift the scale."""
        if event.type not in ("WHEELUPMOUSE", "WHEELDOWNMOUSE") or not self._can_be_region:
            return False
        way = 1 if event.type == "WHEELUPMOUSE" else -1
        if event.alt:
            self._turned += way * _WHEEL_ANGLE
        elif event.shift:
            self._grown += way * math.log(_WHEEL_FACTOR)
        else:
            radius = self.shape().radius
            wider = radius * _WHEEL_FACTOR**way if radius else _FIRST_RADIUS
            self._widened += wider - radius
        return True

    def _number(self) -> float | None:
        try:
            return float(self.typed)
        except ValueError:
            return None

    def place_px(self, pulled_px: tuple[float, float]) -> tuple[float, float]:
        """Return where the point should be, given where the mouse has pulled it.

        Args:
            pulled_px: The place of the image at ``position``, image pixels, y axis upwards.

        Returns:
            The place with the axis, the typed distance and the snapping, likewise.
        """
        way = [a - b for a, b in zip(pulled_px, self._start_px, strict=True)]
        number = self._number() if self.mode is Mode.MOVE else None
        if number is not None:
            axis = self.axis or 0
            way = [number if index == axis else 0.0 for index in (0, 1)]
        else:
            if self._is_snapped and self.mode is Mode.MOVE:
                step = _FINE_SNAP_PX if self._is_precise else _SNAP_PX
                way = [round(part / step) * step for part in way]
            if self.axis is not None:
                way[1 - self.axis] = 0.0
        return self._start_px[0] + way[0], self._start_px[1] + way[1]

    def shape(self) -> Shape:
        """Return the region as mouse, wheel and keys have changed it."""
        number = self._number()
        angle, factor, radius = self._turned, math.exp(self._grown), self._widened
        if self._is_snapped and self.mode is Mode.TURN:
            angle = round(angle / _SNAP_ANGLE) * _SNAP_ANGLE
        if self._is_snapped and self.mode is Mode.SCALE:
            factor = max(_SNAP_SCALE, round(factor / _SNAP_SCALE) * _SNAP_SCALE)
        if number is not None and self.mode is Mode.TURN:
            angle = math.radians(number)
        if number is not None and number > 0.0 and self.mode is Mode.SCALE:
            factor = number
        radius = max(0.0, self._shape.radius + radius)
        if number is not None and self.mode is Mode.RADIUS:
            radius = max(0.0, number)
        is_turned = bool(self._turned or self._grown or self.mode in (Mode.TURN, Mode.SCALE))
        if is_turned and not radius and not self._widened:
            radius = _FIRST_RADIUS
        return Shape(radius, self._shape.angle + angle, self._shape.scale * factor)

    def text(self, place_px: tuple[float, float]) -> str:
        """Return the line for the status bar.

        Args:
            place_px: What ``place_px`` has returned.
        """
        x, y = (a - b for a, b in zip(place_px, self._start_px, strict=True))
        now = self.shape()
        shown = f"D: {math.hypot(x, y):.1f} px ({x:.1f}, {y:.1f})"
        if self.mode is Mode.TURN:
            shown = f"Turn: {math.degrees(now.angle - self._shape.angle):.1f} degrees"
        elif self.mode is Mode.SCALE:
            shown = f"Scale: {now.scale / self._shape.scale:.3f}"
        elif self.mode is Mode.RADIUS:
            shown = f"Radius: {now.radius:.3f}"
        if self.typed:
            shown += f"  [{self.typed}]"
        if self.axis is not None:
            shown += f"  along {'XY'[self.axis]}"
        keys = "Release: settle  |  Esc, RMB: take back  |  Shift: precise  |  Ctrl: snap  |  X, Y"
        region = "  |  F: radius  R: turn  S: scale  G: move  (wheel, Alt-wheel, Shift-wheel)"
        return f"{shown}  |  {keys}{region if self._can_be_region else ''}"
