# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pull with the mouse means: from places of the mouse on the image to a target.

A pull moves its target, as Blender's *Move* does. Keys change to turning and scaling it, as in
Blender's transforms, or to the radius of the handle. All positions are image pixels, ``(x, y)``,
origin top left. Nothing here knows Blender.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

Px = tuple[float, float]

# Shift slows the mouse down by this factor, as in Blender's transforms.
_PRECISE = 0.1
# Ctrl snaps moves to this part of the image's width, turns to these radians, and scales to this.
_MOVE_STEP, _TURN_STEP, _SCALE_STEP = 1 / 32, math.radians(5.0), 0.1
# The mouse is at least this far from the centre that it turns or scales about, px.
_LEAST_PX = 0.5
_LEAST_SCALE, _LARGEST_SCALE = 0.05, 20.0
# What may be typed of a number, besides a minus at its start.
_DIGITS = frozenset("0123456789.")


class Mode(Enum):
    """What the mouse does; the value is what the header calls it."""

    MOVE = "Move"
    TURN = "Rotate"
    SIZE = "Scale"
    RADIUS = "Radius"


@dataclass(frozen=True)
class Aim:
    """What a pull asks for.

    Attributes:
        target_px: Where the target should be.
        angle: How far it should be turned since the pull began, radians, counter-clockwise as a
            person sees the image.
        scale: The factor by which it should be scaled since the pull began.
        radius_px: The radius of the handle; 0 for a point.
    """

    target_px: Px
    angle: float = 0.0
    scale: float = 1.0
    radius_px: float = 0.0


class Pull:
    """A pull in progress.

    Attributes:
        mode: What the mouse does now.
        axis: ``X`` or ``Y`` if moves are locked to an axis of the image, else empty.
        typed: The number that was typed for the present mode, as text.
        aim: What the pull asks for now.
        start: What the target was like before the pull.
    """

    def __init__(self, aim: Aim, handle_px: Px, mouse_px: Px, size_px: tuple[int, int]) -> None:
        """Begin to pull.

        Args:
            aim: What the target is like before the pull.
            handle_px: The centre of the handle's radius.
            mouse_px: Where the mouse was pressed.
            size_px: Width and height of the image.
        """
        self.mode = Mode.MOVE
        self.axis = ""
        self.typed = ""
        self.aim = self.start = aim
        self._handle_px = handle_px
        self._size_px = size_px
        self._mouse_px = self._slow_px = mouse_px
        self._turned = 0.0
        self._from_px, self._from = mouse_px, aim

    def moved(self, mouse_px: Px, *, precise: bool = False, snap: bool = False) -> Aim:
        """Follow the mouse to another place of the image's plane, and return the new aim."""
        factor = _PRECISE if precise else 1.0
        before = self._slow_px
        self._slow_px = (
            before[0] + factor * (mouse_px[0] - self._mouse_px[0]),
            before[1] + factor * (mouse_px[1] - self._mouse_px[1]),
        )
        self._mouse_px = mouse_px
        if self.mode is Mode.TURN:
            centre = self._from.target_px
            step = _direction(centre, self._slow_px) - _direction(centre, before)
            # In pieces, so that the mouse can go round more than once.
            self._turned += math.remainder(step, 2 * math.pi)
        return self._update(snap)

    def change_mode(self, mode: Mode) -> Aim:
        """Let the mouse do something else from here on, and return the aim."""
        self.mode, self.typed, self.axis = mode, "", ""
        self._from_px, self._from, self._turned = self._slow_px, self.aim, 0.0
        return self.aim

    def lock(self, axis: str) -> Aim:
        """Lock moves to an axis, or free them if they are locked to it, and return the new aim."""
        self.axis = "" if self.axis == axis else axis
        return self._update(False)

    def type(self, text: str) -> Aim:
        """Take a typed character: a digit, a point, a minus, or ``<`` to delete the last one."""
        if text == "<":
            self.typed = self.typed[:-1]
        elif text == "-":
            self.typed = self.typed[1:] if self.typed.startswith("-") else f"-{self.typed}"
        elif text in _DIGITS and not (text == "." and "." in self.typed):
            self.typed += text
        return self._update(False)

    def set_radius(self, radius_px: float) -> Aim:
        """Set the radius, and return the new aim."""
        self._from = replace(self._from, radius_px=radius_px)
        self.aim = replace(self.aim, radius_px=radius_px)
        return self.aim

    def grow(self, steps: int) -> Aim:
        """Make the radius larger by notches of the mouse wheel, and return the new aim."""
        step = self._size_px[0] / 64
        return self.set_radius(max(0.0, self.aim.radius_px + steps * step))

    def describe(self) -> str:
        """Return the present values for the header."""
        aim = self.aim
        if self.mode is Mode.TURN:
            text = f"{math.degrees(aim.angle):.1f}°"
        elif self.mode is Mode.SIZE:
            text = f"{aim.scale:.2f}"
        elif self.mode is Mode.RADIUS:
            text = f"{aim.radius_px:.1f} px"
        else:
            x, y = (a - b for a, b in zip(aim.target_px, self._from.target_px, strict=True))
            axis = f" along {self.axis}" if self.axis else ""
            text = f"{x:.1f}, {-y:.1f} px ({math.hypot(x, y):.1f}){axis}"
        typed = f" [{self.typed}]" if self.typed else ""
        return f"{self.mode.value}: {text}{typed}"

    def _update(self, snap: bool) -> Aim:
        self.aim = {
            Mode.MOVE: self._move,
            Mode.TURN: self._turn,
            Mode.SIZE: self._size,
            Mode.RADIUS: self._radius,
        }[self.mode](snap)
        return self.aim

    def _move(self, snap: bool) -> Aim:
        x, y = (a - b for a, b in zip(self._slow_px, self._from_px, strict=True))
        typed = self._number()
        if typed is not None:
            x, y = self._typed_move(x, y, typed)
        if self.axis == "X":
            y = 0.0
        elif self.axis == "Y":
            x = 0.0
        if snap:
            step = _MOVE_STEP * self._size_px[0]
            x, y = round(x / step) * step, round(y / step) * step
        width, height = self._size_px
        start = self._from.target_px
        inside = min(max(start[0] + x, 0.0), width), min(max(start[1] + y, 0.0), height)
        return replace(self._from, target_px=inside)

    def _typed_move(self, x: float, y: float, typed: float) -> Px:
        """Return a move of a typed length: along the axis, or to where the mouse is."""
        if self.axis == "X":
            return typed, 0.0
        if self.axis == "Y":
            # Up is positive, as in Blender.
            return 0.0, -typed
        length = math.hypot(x, y)
        if length < 1e-6:
            return typed, 0.0
        return x * typed / length, y * typed / length

    def _turn(self, snap: bool) -> Aim:
        typed = self._number()
        turned = self._turned if typed is None else math.radians(typed)
        if snap:
            turned = round(turned / _TURN_STEP) * _TURN_STEP
        return replace(self._from, angle=self._from.angle + turned)

    def _size(self, snap: bool) -> Aim:
        centre, typed = self._from.target_px, self._number()
        before = max(math.dist(centre, self._from_px), _LEAST_PX)
        factor = max(math.dist(centre, self._slow_px), _LEAST_PX) / before
        if typed is not None:
            factor = abs(typed)
        if snap:
            factor = round(factor / _SCALE_STEP) * _SCALE_STEP
        scale = min(max(self._from.scale * factor, _LEAST_SCALE), _LARGEST_SCALE)
        return replace(self._from, scale=scale)

    def _radius(self, _snap: bool) -> Aim:
        typed = self._number()
        radius_px = math.dist(self._handle_px, self._slow_px) if typed is None else abs(typed)
        return replace(self._from, radius_px=min(radius_px, float(max(self._size_px))))

    def _number(self) -> float | None:
        try:
            return float(self.typed)
        except ValueError:
            return None


def _direction(centre: Px, place: Px) -> float:
    """Return the direction of a place from a centre, radians, counter-clockwise from the right."""
    return math.atan2(centre[1] - place[1], place[0] - centre[0])
