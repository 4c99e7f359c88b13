# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures in a window how fast the image follows the mouse, and what that costs Blender.

It pulls at the built-in model with the Pull tool and a real mouse pointer, and measures from each
event of the mouse to the drawing that shows its image; and how often Blender can redraw the view
without and during a pull::

    python tools/window.py tools/live.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out live.txt

Where the CPU draws, the tool switches anti-aliasing off meanwhile; ``--keep-antialiasing`` measures
without that.

``python dev.py bench live`` measures without a window.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.bench.latencies import Latencies
from tools.window import EXTENSION

SIZE = (1000, 700)

# The circle that the mouse moves in, as a part of the image's side, and its centre as (u, v).
_RADIUS, _CENTRE = 0.06, (0.513, 0.446)
_EVENTS_PER_S, _TURN_S = 30.0, 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script to those of ``tools/window.py``."""
    parser.add_argument("--seed", type=int, default=4, help="seed of the start image")
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of the pull")
    parser.add_argument("--model", default="suzanne", help="a built-in model's name, or a file")
    parser.add_argument(
        "--antialiasing", default="8", help="Blender's Viewport Anti-Aliasing: OFF, FXAA, 5, 8, ..."
    )
    parser.add_argument(
        "--keep-antialiasing", action="store_true", help="do not switch it off for the pull"
    )


class _Watch:
    """Records when targets are set, when previews arrive, and when the view is drawn."""

    def __init__(self, module: Any) -> None:
        self.latencies = Latencies()
        self.draws = 0
        self._waiting: int | None = None
        self._deliver = module("jobs.delivery").deliver
        module("connection.pump").set_delivery(self._take)
        live = module("jobs.live")
        change_job = live.pump.change_job

        def changed(image_id: str, change: Any) -> None:
            pairs = getattr(change, "pairs", ())
            if pairs:
                self.latencies.sent(self.event_s, pairs[0].target_px)
            change_job(image_id, change)

        live.pump.change_job = changed
        operator = module("ui.operators.pull").DRAGGAN_OT_pull
        handle = operator._handle
        self.event_s = 0.0

        def handled(that: Any, context: Any, event: Any) -> Any:
            if event.type == "MOUSEMOVE":
                self.event_s = time.perf_counter()
            return handle(that, context, event)

        operator._handle = handled

    def _take(self, job: Any, message: Any) -> None:
        self._deliver(job, message)
        if message.kind == "step" and len(message.handles) == 1:
            handle = message.handles[0]
            self.latencies.stepped(message.step, handle.place_px, handle.distance_px)
        elif message.kind == "preview":
            self._waiting = message.step

    def drawn(self) -> None:
        """Record a drawing of the 3D view."""
        self.draws += 1
        if self._waiting is not None:
            self.latencies.previewed(time.perf_counter(), self._waiting)
            self._waiting = None


def steps(window: Any) -> Iterator[float]:
    """Measure the redraws without a pull, and a pull; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.
    """
    import bpy

    operators: Any = bpy.ops
    options, area = window.options, window.area("VIEW_3D")
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    space = area.spaces.active
    preferences = bpy.context.preferences
    preferences.system.viewport_aa = options.antialiasing
    preferences.addons[EXTENSION].preferences.plain_pulls = not options.keep_antialiasing
    # Without a GPU, other kinds of shading take seconds to draw.
    space.shading.type, space.shading.color_type = "SOLID", "TEXTURE"
    space.region_3d.view_perspective, space.region_3d.view_distance = "ORTHO", 4.0
    space.region_3d.view_rotation = (1.0, 0.0, 0.0, 0.0)
    with window.within(area):
        operators.draggan.new_image(model=options.model, seed=options.seed)
        plane = bpy.context.object
        bpy.ops.wm.tool_set_by_id(name="draggan.pull_tool")
    while plane.draggan.request_id:
        yield 0.1
    watch = _Watch(window.module)
    bpy.types.SpaceView3D.draw_handler_add(watch.drawn, (), "WINDOW", "POST_PIXEL")
    yield 3.0
    alone = yield from _redraws(watch, area)
    yield from window.ask(["xdotool", *_to(window, area, 0.0), "sleep", "0.5", "mousedown", "1"])
    pump = window.module("connection.pump")
    yield from window.ask(["xdotool", *_circle(window, area, 3.0)])
    watch.latencies = Latencies()
    pump.stats().clear()
    yield from window.ask(["xdotool", *_circle(window, area, options.seconds)])
    view = window.region(area)
    lines = [
        f"{bpy.app.version_string}, {options.model}, {_EVENTS_PER_S:g} events per second, "
        f"a view of {view.width} x {view.height} px"
    ]
    lines += watch.latencies.lines(options.seconds)
    stats = pump.stats()
    lines += [f"  {1000 * stats.working.median_s:7.2f} ms for a tick that delivers, median"]
    lines += [f"  {1000 * stats.all.max_s:7.2f} ms, the longest tick"]
    during = yield from _redraws(watch, area)
    lines += [f"  {alone:7.1f} redraws per second without a pull, {during:.1f} with one"]
    yield from window.ask(["xdotool", "key", "Escape", "sleep", "0.5", "mouseup", "1"])
    text = "\n".join(lines)
    print(text, flush=True)
    options.out.write_text(text + "\n")


def _redraws(watch: _Watch, area: Any) -> Generator[float, None, float]:
    """Redraw the view as often as possible for some seconds; returns how often per second."""
    before, started_s = watch.draws, time.perf_counter()
    while time.perf_counter() < started_s + 5.0:
        area.tag_redraw()
        yield 0.001
    return (watch.draws - before) / (time.perf_counter() - started_s)


def _to(window: Any, area: Any, angle: float) -> list[str]:
    """Return the words with which xdotool moves the pointer to a place of the circle."""
    from bpy_extras.view3d_utils import location_3d_to_region_2d

    u = _CENTRE[0] + _RADIUS * math.sin(angle)
    v = _CENTRE[1] + _RADIUS * (1.0 - math.cos(angle))
    region = window.region(area)
    place = (2.0 * u - 1.0, 2.0 * v - 1.0, 0.0)
    seen: Any = location_3d_to_region_2d(region, area.spaces.active.region_3d, place)
    down = window.window.height - region.y - seen.y
    return ["mousemove", str(int(region.x + seen.x)), str(int(down))]


def _circle(window: Any, area: Any, seconds: float) -> list[str]:
    words = []
    for number in range(int(seconds * _EVENTS_PER_S)):
        angle = math.tau * number / _EVENTS_PER_S / _TURN_S
        words += [*_to(window, area, angle), "sleep", f"{1.0 / _EVENTS_PER_S:.4f}"]
    return words
