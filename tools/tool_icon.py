# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the icon of the Pull tool, ``draggan_blender/ui/icons/draggan.pull.dat``.

Blender draws the icons of its toolbar from coloured triangles, so that they are sharp in every
size. The format: the bytes ``VCO``, a version of 0, the width and the height of the coordinates,
two bytes that are not used; then the three corners of each triangle as ``(x, y)`` bytes with the y
axis upwards, then the colours of all corners as RGBA bytes::

    python tools/tool_icon.py
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

Point = tuple[float, float]
Color = tuple[int, int, int, int]

PATH = Path(__file__).parents[1] / "draggan_blender" / "ui" / "icons" / "draggan.pull.dat"

# The colours of Blender's own tools: white for what is there, blue for what the tool does.
_WHITE: Color = (255, 255, 255, 255)
_BLUE: Color = (86, 165, 255, 255)
_FAINT: Color = (255, 255, 255, 110)

_SIDES = 28


class Drawing:
    """Triangles, each with a colour."""

    def __init__(self) -> None:
        self.triangles: list[tuple[tuple[Point, Point, Point], Color]] = []

    def fan(self, outline: list[Point], color: Color) -> None:
        """Add a convex shape."""
        first = outline[0]
        for second, third in pairwise(outline[1:]):
            self.triangles.append(((first, second, third), color))

    def ring(self, middle: Point, inner: float, outer: float, color: Color) -> None:
        """Add a ring."""
        inside, outside = _circle(middle, inner), _circle(middle, outer)
        for n in range(_SIDES):
            m = (n + 1) % _SIDES
            self.fan([inside[n], outside[n], outside[m], inside[m]], color)

    def line(self, start: Point, end: Point, width: float, color: Color) -> None:
        """Add a straight line."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        x, y = -dy / length * width / 2, dx / length * width / 2
        corners = [(start, 1), (end, 1), (end, -1), (start, -1)]
        self.fan([(px + way * x, py + way * y) for (px, py), way in corners], color)

    def to_bytes(self) -> bytes:
        """Return the file."""
        corners = [corner for triangle, _ in self.triangles for corner in triangle]
        places = bytes(min(255, max(0, round(part))) for corner in corners for part in corner)
        colors = bytes(part for _, color in self.triangles for _ in range(3) for part in color)
        return b"VCO\0" + bytes((255, 255, 0, 0)) + places + colors


def _circle(middle: Point, radius: float) -> list[Point]:
    angles = [2.0 * math.pi * n / _SIDES for n in range(_SIDES)]
    return [(middle[0] + radius * math.cos(a), middle[1] + radius * math.sin(a)) for a in angles]


def icon() -> Drawing:
    """Return the icon: an image whose handle is pulled along an arrow."""
    drawing = Drawing()
    # The corners of the image.
    for x, y in ((30, 30), (30, 225), (225, 225), (225, 30)):
        inwards_x, inwards_y = (1 if x < 128 else -1), (1 if y < 128 else -1)
        drawing.line((x - 7 * inwards_x, y), (x + 45 * inwards_x, y), 14, _FAINT)
        drawing.line((x, y + 7 * inwards_y), (x, y + 45 * inwards_y), 14, _FAINT)
    handle, tip = (92.0, 92.0), (190.0, 190.0)
    drawing.fan(_circle(handle, 34.0), _WHITE)
    drawing.line((118.0, 118.0), (165.0, 165.0), 20, _BLUE)
    drawing.fan([tip, (tip[0] - 68.0, tip[1] - 10.0), (tip[0] - 10.0, tip[1] - 68.0)], _BLUE)
    return drawing


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_bytes(icon().to_bytes())
