# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls in two 3D views and in two windows of Blender, and checks what is left behind.

A pull in the second view of the first window; one in a second window; a window that is closed, and
an extension that is disabled, in the middle of a pull, and another file that is opened. Each
station is checked, with Blender's anti-aliasing, which a pull switches off where the CPU draws: an
error ends the script::

    python tools/window.py tools/two_windows.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out folder

The pictures ``two_views.png`` and ``two_windows.png`` in the folder show both during a pull.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZE = (1280, 800)

_PLACE, _OTHER_PLACE = (0.03, -0.16), (0.03, 0.25)
_WAY_PX, _MOVES = 36, 9
_ANTIALIASING = "16"

_pictures = runpy.run_path(str(Path(__file__).with_name("pull_pictures.py")))
_Person: Any = _pictures["_Person"]
_check: Any = _pictures["_check"]


class _Hand:
    """A person who works in one 3D view of one window."""

    def __init__(self, person: Any, window: Any, area: Any) -> None:
        self._person, self._window, self._area = person, window, area

    def at(self, place: tuple[float, float]) -> tuple[int, int]:
        """Return where a place of the image is on the screen, px from its top-left corner."""
        from bpy_extras.view3d_utils import location_3d_to_region_2d
        from mathutils import Vector

        region = self._person.window.region(self._area)
        view = self._area.spaces.active.region_3d
        world: Any = self._person.plane.matrix_world @ Vector((*place, 0.0))
        seen: Any = location_3d_to_region_2d(region, view, world)
        left, top = self._window.x, SIZE[1] - self._window.y - self._window.height
        return (
            int(left + region.x + seen.x),
            int(top + self._window.height - region.y - seen.y),
        )

    def press_and_move(self, place: tuple[float, float]) -> Iterator[float]:
        """Press on a place, and move to the right."""
        x, y = self.at(place)
        yield from self._person.mouse("mousemove", x, y, "sleep", 0.8, "mousedown", 1)
        # Blender takes a press where the pointer is when it gets to it.
        yield from self._person.until(_is_pulling, "the pull to begin")
        words: list[Any] = []
        for number in range(1, _MOVES + 1):
            words += ["mousemove", x + _WAY_PX * number // _MOVES, y, "sleep", 0.15]
        yield from self._person.mouse(*words)
        _check_antialiasing(is_off=self._person.window.module("ui.plain_views").draws_on_cpu())


def steps(window: Any) -> Iterator[float]:
    """Do and check everything; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.
    """
    import bpy

    person = _Person(window)
    yield from _pictures["_new_image"](person)
    manager: Any = bpy.context.window_manager
    preferences: Any = bpy.context.preferences
    preferences.system.viewport_aa, preferences.is_dirty = _ANTIALIASING, False
    with window.within(person.area):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
    yield 1.0
    first, second = [area for area in window.window.screen.areas if area.type == "VIEW_3D"]
    for area in (first, second):
        with window.within(area):
            bpy.ops.view3d.view_selected()
    yield 2.0
    left = second if second.x > first.x else first
    yield from _pull(person, _Hand(person, window.window, left), _PLACE, "two_views")
    _check(len(person.plane.draggan.pairs) == 1, "the pull in the second view has made no pair")
    with window.within(first):
        bpy.ops.wm.window_new()
    yield 2.0
    other = manager.windows[1]
    area = next(area for area in other.screen.areas if area.type == "VIEW_3D")
    kind = area.spaces.active.shading.color_type
    _check(kind == "TEXTURE", f"the second window shows the plane in the colour {kind}")
    _copy_view(first, area)
    hand = _Hand(person, other, area)
    yield 1.0
    yield from _pull(person, hand, _OTHER_PLACE, "two_windows")
    _check(len(person.plane.draggan.pairs) == 2, "the pull in the second window has made no pair")
    yield from _close_during_pull(person, hand, other)
    hand = _Hand(person, window.window, first)
    yield from _disable_during_pull(person, hand)
    yield from _open_during_pull(person, hand)
    print("two_windows: done", flush=True)


def _copy_view(source: Any, area: Any) -> None:
    """Let a 3D view show what another one shows; a new window looks from above."""
    area.spaces.active.show_region_ui = False
    there, here = source.spaces.active.region_3d, area.spaces.active.region_3d
    for name in ("view_perspective", "view_rotation", "view_location", "view_distance"):
        setattr(here, name, getattr(there, name))


def _check_antialiasing(*, is_off: bool) -> None:
    import bpy

    preferences: Any = bpy.context.preferences
    found, wanted = preferences.system.viewport_aa, "OFF" if is_off else _ANTIALIASING
    _check(found == wanted, f"the anti-aliasing of views is {found}, not {wanted}")
    _check(not preferences.is_dirty, "a pull has marked the preferences as changed")


def _pull(person: Any, hand: _Hand, place: tuple[float, float], name: str) -> Iterator[float]:
    yield from hand.press_and_move(place)
    yield 2.0
    picture = str((person.out / f"{name}.png").absolute())
    person.out.mkdir(parents=True, exist_ok=True)
    yield from person.window.ask(["import", "-window", "root", picture])
    yield from person.release()
    _check(not _is_pulling(), f"{name}: the pull has not ended")
    _check_antialiasing(is_off=False)
    pair = person.plane.draggan.pairs[-1]
    _check(not pair.is_pin, f"{name}: the pull has set a pin")
    apart = (pair.handle.location - pair.target.location).length
    _check(apart < 0.05, f"{name}: the handle is {apart:.3f} from its target")


def _is_pulling() -> bool:
    import bpy

    windows: Any = bpy.context.window_manager.windows
    return any("draggan" in item.bl_idname.lower() for w in windows for item in w.modal_operators)


def _close_during_pull(person: Any, hand: _Hand, other: Any) -> Iterator[float]:
    """Close the second window in the middle of a pull: the pull is taken back."""
    import bpy

    yield from hand.press_and_move((-0.3, -0.3))
    _check(len(person.plane.draggan.pairs) == 3, "no third pair during the pull")
    with bpy.context.temp_override(window=other):
        bpy.ops.wm.window_close()
    yield 1.0
    yield from person.mouse("mouseup", 1, "sleep", 0.5)
    yield from person.until_idle()
    _check(not _is_pulling(), "a pull is running without its window")
    _check_antialiasing(is_off=False)
    count = len(person.plane.draggan.pairs)
    _check(count == 2, f"{count} pairs after a window was closed during a pull")


def _disable_during_pull(person: Any, hand: _Hand) -> Iterator[float]:
    """Disable the extension in the middle of a pull, and enable it again."""
    import addon_utils
    import bpy

    name = person.window.module("package").ROOT_PACKAGE
    yield from hand.press_and_move((-0.3, -0.3))
    addon_utils.disable(name)
    yield 1.5
    yield from person.mouse("mouseup", 1, "sleep", 0.5)
    _check(not _is_pulling(), "a pull is running without its extension")
    _check(
        bpy.context.preferences.system.viewport_aa == _ANTIALIASING, "anti-aliasing is still off"
    )
    _check(not hasattr(bpy.types.Object, "draggan"), "the properties are still there")
    addon_utils.enable(name)
    yield 1.5
    count = len(person.plane.draggan.pairs)
    _check(count == 2, f"{count} pairs after the extension was disabled during a pull")


def _open_during_pull(person: Any, hand: _Hand) -> Iterator[float]:
    """Open another file in the middle of a pull."""
    import bpy

    with person.window.within(person.area):
        bpy.ops.wm.tool_set_by_id(name="draggan.pull_tool")
    # Enabling the extension has changed the preferences.
    bpy.context.preferences.is_dirty = False
    yield from hand.press_and_move((-0.3, -0.3))
    with bpy.context.temp_override(window=person.window.window):
        bpy.ops.wm.read_homefile(use_empty=True)
    yield 1.5
    yield from person.mouse("mouseup", 1, "sleep", 0.5)
    _check(not _is_pulling(), "a pull is running in another file")
    _check_antialiasing(is_off=False)
    _check(not bpy.data.objects, "another file has the points of a pull")
