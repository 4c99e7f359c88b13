# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the way from a zip to the first drag in a window: seconds, clicks, and downloads.

``tools/window.py`` runs it, with an empty user folder and without ``--engine-python``::

    python tools/window.py tools/first_drag.py --blender blender --zip ZIP --user USER --out OUT

Everything but opening the sidebar is done with the mouse and the keyboard. ``--cancel`` presses
*Cancel* while packages are downloaded, and *Install Engine* again. ``--kill`` kills Blender there;
a second run with the same ``--user`` goes on. It needs the internet, or the index that pip is
configured for.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

SIZE = (1400, 900)

# Places in the sidebar as it opens for the first time, from its left and top, px.
_ONLINE, _INSTALL, _CANCEL, _NEW = (23, 162), (143, 55), (243, 47), (143, 257)
# *New GAN Image* where nothing was installed in this run.
_NEW_LATER = (143, 210)
# The pull: from the nose to the right, on the image.
_FROM, _TO = (0.513, 0.446), (0.60, 0.446)
# An installation is cancelled, or Blender killed, once this much of the bar is full.
_MIDDLE = 0.3
_LIMIT_S = 1200.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script to those of ``tools/window.py``."""
    parser.add_argument("--cancel", action="store_true", help="cancel once, and go on")
    parser.add_argument("--kill", action="store_true", help="kill Blender while it downloads")


class _Person:
    """Clicks and types, and counts.

    Attributes:
        clicks: The number of clicks so far; a pull is one.
        keys: The number of keys.
    """

    def __init__(self, window: Any) -> None:
        self._window = window
        self.clicks = self.keys = 0
        self._started_s = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the time."""
        seconds = time.monotonic() - self._started_s
        print(f"{seconds:6.1f} s, {self.clicks} clicks, {self.keys} keys: {text}", flush=True)

    def click(self, place: tuple[int, int]) -> Iterator[float]:
        """Click at a place of the sidebar."""
        left, top, _, _ = self._window.box(self._window.region(self._window.area("VIEW_3D"), "UI"))
        x, y = str(left + place[0]), str(top + place[1])
        self.clicks += 1
        yield from self._window.ask(["xdotool", "mousemove", x, y, "sleep", "0.7", "click", "1"])

    def over_view(self, *words: str) -> Iterator[float]:
        """Give xdotool words with the pointer over the 3D view."""
        left, top, width, height = self._window.box(self._window.area("VIEW_3D"))
        x, y = str(left + width // 2), str(top + height // 2)
        yield from self._window.ask(["xdotool", "mousemove", x, y, "sleep", "1", *words])


def steps(window: Any) -> Iterator[float]:
    """Install the engine, make an image and pull; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.

    Raises:
        RuntimeError: The installation or the pull failed.
    """
    import bpy

    options, area = window.options, window.area("VIEW_3D")
    installation = window.module("jobs.installation")
    person = _Person(window)
    person.keys, person.clicks = 1, 1  # N, and the tab
    yield from window.show_tab(area)
    yield 2.0
    person.say(f"Blender {bpy.app.version_string}, the extension is installed")
    yield from window.take(options.out / "1-button.png")
    is_new = installation.condition() != "ready"  # an earlier run may have installed it
    if is_new:
        if not bpy.app.online_access:
            yield from person.click(_ONLINE)
            yield 1.0
        yield from _install(window, person, installation)
        person.say(installation.now().text)
        yield from window.take(options.out / "3-ready.png")
    yield from _first_drag(window, person, _NEW if is_new else _NEW_LATER)
    yield from window.take(options.out / "6-pulled.png")


def _install(window: Any, person: _Person, installation: Any) -> Iterator[float]:
    """Press *Install Engine*, and wait until it is there."""
    options = window.options
    is_left = options.cancel or options.kill
    yield from person.click(_INSTALL)
    yield 1.0
    if not installation.is_running():
        raise RuntimeError(f"the click has not started it: {installation.now()}")
    person.say("the installer runs")
    pictured = False
    started_s, said = time.monotonic(), ""
    while installation.is_running():
        yield 0.2
        state = installation.now()
        step = state.text.split(":")[0].split(",")[0][:60]
        if step != said and not any(mark.isdigit() for mark in step):
            said = step
            person.say(state.text)
        if state.fraction >= _MIDDLE and not pictured:
            pictured = True
            person.say(f"in the middle: {state.text}")
            yield from window.take(options.out / "2-middle.png")
        if is_left and pictured:
            is_left = False
            person.say(f"leaving at: {installation.now().text}")
            if options.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            yield from person.click(_CANCEL)
            while installation.is_running():
                yield 0.1
            person.say(f"{installation.now().phase}: {installation.now().text}")
            yield from window.take(options.out / "2-cancelled.png")
            yield from person.click(_INSTALL)
            yield 1.0
            person.say("the installer runs again")
        if time.monotonic() - started_s > _LIMIT_S:
            raise RuntimeError(f"not done after {_LIMIT_S:.0f} s: {installation.now()}")
    if installation.now().phase != "done":
        raise RuntimeError(f"the installation failed: {installation.now()}")


def _first_drag(window: Any, person: _Person, button: tuple[int, int]) -> Iterator[float]:
    """Press *New GAN Image*, which is at a place of the sidebar, and pull the nose."""
    import bpy
    from bpy_extras.view3d_utils import location_3d_to_region_2d
    from mathutils import Vector

    area = window.area("VIEW_3D")
    yield from person.click(button)
    started_s = time.monotonic()
    is_plane = window.module("scene.planes").is_plane
    while not is_plane(bpy.context.object) or bpy.context.object.draggan.request_id:
        yield 0.1
        if time.monotonic() - started_s > 60.0:
            raise RuntimeError("no image was added")
    plane: Any = bpy.context.object
    person.say("the first image is there")
    yield 2.0
    yield from window.take(window.options.out / "4-image.png")
    region, view = window.region(area), area.spaces.active.region_3d
    spots = []
    for u, v in (_FROM, _TO):
        place = plane.matrix_world @ Vector((2.0 * u - 1.0, 2.0 * v - 1.0, 0.0))
        seen: Any = location_3d_to_region_2d(region, view, place)
        down = window.window.height - region.y - seen.y
        spots.append((str(int(region.x + seen.x)), str(int(down))))
    (x, y), (to_x, to_y) = spots
    person.keys, person.clicks = person.keys + 1, person.clicks + 1
    yield from person.over_view("key", "p", "sleep", "1")
    yield from window.ask(["xdotool", "mousemove", x, y, "sleep", "1", "mousedown", "1"])
    yield from window.ask(["xdotool", "mousemove", to_x, to_y])
    pump = window.module("connection.pump")
    while not pump.state().step:
        yield 0.02
        if time.monotonic() - started_s > 120.0:
            raise RuntimeError("the pull has no step")
    person.say("the first step of the first drag")
    yield 4.0
    # Without ``take``, which moves the mouse.
    picture = window.options.out / "5-pulling.png"
    yield from window.ask(["import", "-window", "root", str(picture.absolute())])
    yield from window.ask(["xdotool", "mouseup", "1"])
    while plane.draggan.request_id:
        yield 0.1
    person.say(f"the first drag: {plane.draggan.status}")
    yield 3.0
