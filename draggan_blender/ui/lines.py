# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator shows in a 3D view while it waits for the mouse: lines, a cross-hair, a hint.

Blender ends an operator whose class is unregistered without telling it, so what is shown is known
here, and goes with the extension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import bpy
import gpu
from gpu_extras.batch import batch_for_shader

Place = tuple[float, float]
Kind = Literal["LINES", "LINE_STRIP"]

_shown: list[Shown] = []


class Shown:
    """Lines over the 3D view that an operator was started in."""

    def __init__(
        self,
        context: bpy.types.Context,
        kind: Kind,
        places: Callable[[], Sequence[Place]],
        hint: str,
    ) -> None:
        """Show lines, a hint in the header, and a cross-hair as the cursor.

        Args:
            context: Its area is the 3D view.
            kind: Whether each two places are a line, or all of them one.
            places: Returns ``(x, y)`` px of the region that is being drawn.
            hint: What the person can do.
        """
        self._window, self._area = context.window, context.area
        self._kind, self._places = kind, places
        self._pointer = self._area.as_pointer()
        self._handle: Any = bpy.types.SpaceView3D.draw_handler_add(
            self._draw, (), "WINDOW", "POST_PIXEL"
        )
        self._window.cursor_modal_set("CROSSHAIR")
        self.say(hint)
        _shown.append(self)

    def say(self, hint: str) -> None:
        """Show another hint, and draw the lines again."""
        self._area.header_text_set(hint)
        self._area.tag_redraw()

    def end(self, context: bpy.types.Context) -> None:
        """Show nothing any more.

        Args:
            context: Its window and area are None if they are gone.
        """
        if self not in _shown:
            return
        _shown.remove(self)
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        if context.window is not None:
            context.window.cursor_modal_restore()
        if context.area is not None:
            context.area.header_text_set(None)
            context.area.tag_redraw()

    def _draw(self) -> None:
        if bpy.context.area.as_pointer() == self._pointer:
            _draw(self._kind, self._places())


def is_shown() -> bool:
    """Return whether an operator waits for the mouse."""
    return bool(_shown)


def _draw(kind: Kind, places: Sequence[Place]) -> None:
    """Draw lines, light on dark, so that they are seen on any background."""
    if not places:
        return
    region = bpy.context.region
    builtin: Any = gpu.shader.from_builtin
    shader = builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, kind, {"pos": [(x, y, 0.0) for x, y in places]})
    gpu.state.blend_set("ALPHA")
    shader.uniform_float("viewportSize", (region.width, region.height))
    for width, color in ((4.0, (0.0, 0.0, 0.0, 0.6)), (1.5, (1.0, 1.0, 1.0, 1.0))):
        shader.uniform_float("lineWidth", width)
        shader.uniform_float("color", color)
        batch.draw(shader)
    gpu.state.blend_set("NONE")


def register() -> None:
    """Nothing is shown yet."""


def unregister() -> None:
    """Show nothing any more."""
    for shown in list(_shown):
        shown.end(bpy.context)
