# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what a drag costs Blender's main thread, and how fast it steps meanwhile.

Real drags of the built-in model, each stopped after some seconds. In a window, whose drawing
competes with the engine for the processor as it does under a person's eyes::

    python tools/window.py tools/tick.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out tick.txt --objects 10000

and without one::

    blender -b --factory-startup --python-exit-code 1 -P tools/tick.py -- --zip ZIP \
        --engine-python .venv/bin/python --out tick.txt

The pump times its ticks itself; the parts of a tick are timed here, around the functions that are
named in ``PARTS``. One part may be within another.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import reduce, wraps
from pathlib import Path
from typing import Any

SIZE = (1000, 700)
EXTENSION = "bl_ext.user_default.draggan_blender"

#: Module and name of what a tick consists of.
PARTS = (
    ("client", "Client.poll"),
    ("planes", "find"),
    ("points", "move_handles"),
    ("images", "show_preview"),
    ("delivery", "_finish_drag"),
    ("images", "show_sequence"),
    ("points", "write_paths"),
    ("delivery", "_show_last_frame"),
    ("recovery", "settle"),
    ("recovery", "release_duplicates"),
    ("delivery", "_push_undo"),
    ("delivery", "_redraw"),
)

Module = Callable[[str], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be chosen besides."""
    parser.add_argument("--method", default="draggan")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--drags", type=int, default=2, help="how many, one after the other")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each may step")
    parser.add_argument("--objects", type=int, default=0, help="other objects in the scene")


def steps(window: Any) -> Iterator[float]:
    """For ``tools/window.py``: the sidebar is open and the plane is in view."""
    area = window.area("VIEW_3D")
    # Without a graphics card the usual ways to draw take seconds.
    shading = area.spaces.active.shading
    shading.type, shading.color_type = "SOLID", "TEXTURE"
    yield from window.show_tab(area)
    yield from _measure(window.module, window.options)


# ---------------------------------------------------------------- the drags


class _Watch:
    """What is seen of a drag from outside the pump."""

    def __init__(self, module: Module) -> None:
        self.kinds: Counter[str] = Counter()
        self.draws = 0
        self.parts = {name: module("connection.tick_stats").Durations() for name in PARTS}
        self._deliver = module("jobs.delivery").deliver
        module("connection.pump").set_delivery(self._count)
        for name in PARTS:
            *owners, function = name[1].split(".")
            self._time(reduce(getattr, owners, module(name[0])), function, name)

    def drawn(self) -> None:
        """The 3D view was drawn."""
        self.draws += 1

    def clear(self) -> None:
        """Begin anew."""
        self.kinds.clear()
        self.draws = 0
        for part in self.parts.values():
            part.clear()

    def _count(self, job: Any, message: Any) -> None:
        self.kinds[message.kind] += 1
        self._deliver(job, message)

    def _time(self, owner: Any, function: str, name: tuple[str, str]) -> None:
        inner, part = getattr(owner, function), self.parts[name]

        @wraps(inner)
        def timed(*arguments: Any, **options: Any) -> Any:
            started_s = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                part.add(time.perf_counter() - started_s)

        setattr(owner, function, timed)


def _measure(module: Module, options: argparse.Namespace) -> Iterator[float]:
    """All drags, with their figures on standard output and in a file."""
    import bpy

    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    _add_others(options.objects)
    image_job, pump = module("jobs.image"), module("connection.pump")
    watch = _Watch(module)
    bpy.types.SpaceView3D.draw_handler_add(watch.drawn, (), "WINDOW", "POST_VIEW")
    plane = image_job.new_image(bpy.context, seed=options.seed)
    bpy.context.view_layer.objects.active = plane
    plane.select_set(True)
    while plane.draggan.request_id:
        yield 0.05
    _set_up(module, plane, options.method)
    yield 2.0
    lines = [f"{bpy.app.version_string}, {options.objects} other objects, {options.method}"]
    for number in range(options.drags):
        watch.clear()
        pump.stats().clear()
        module("jobs.drag").start_drag(bpy.context, plane)
        while plane.draggan.request_id and pump.state().step < 1:
            yield 0.01
        first, started_s, before = pump.state().step, time.perf_counter(), dict(watch.kinds)
        draws = watch.draws
        while plane.draggan.request_id and time.perf_counter() - started_s < options.seconds:
            yield 0.01
        seconds = time.perf_counter() - started_s
        rates = {
            "steps": pump.state().step - first,
            "previews": watch.kinds["preview"] - before.get("preview", 0),
            "draws": watch.draws - draws,
        }
        live = _figures(pump.stats(), watch)
        watch.clear()
        pump.stats().clear()
        if plane.draggan.request_id:
            module("jobs.drag").stop_drag(plane)
        while plane.draggan.request_id:
            yield 0.05
        lines += [f"drag {number + 1}: {plane.draggan.status}"]
        lines += [f"  {count / seconds:6.1f} {name} a second" for name, count in rates.items()]
        lines += [*live, "  and its ending:", *_figures(pump.stats(), watch)]
    text = "\n".join(lines)
    print(text, flush=True)
    options.out.write_text(text + "\n")


def _add_others(count: int) -> None:
    """Meshes, because those are what a GAN image could be; far away and small."""
    import bpy

    mesh = bpy.data.meshes.new("Other")
    mesh.from_pydata([(0.0, 0.0, 0.0), (0.01, 0.0, 0.0), (0.0, 0.01, 0.0)], [], [(0, 1, 2)])
    for index in range(count):
        other = bpy.data.objects.new("Other", mesh)
        other.location = (index % 100 * 0.1, index // 100 * 0.1, -5.0)
        bpy.context.scene.collection.objects.link(other)


def _set_up(module: Module, plane: Any, method: str) -> None:
    """One pair whose target is too far away to be reached."""
    import bpy

    module("scene.points").add_pair(plane, (0.51, 0.45), (0.97, 0.43))
    bpy.context.view_layer.update()
    drag = plane.draggan.drag
    drag.method, drag.tolerance_px = method, 0.05
    drag.max_steps = drag.patience = 100000


def _figures(stats: Any, watch: _Watch) -> list[str]:
    rows = [
        ("ticks", stats.all),
        ("ticks that delivered", stats.working),
        *((".".join(name), part) for name, part in watch.parts.items()),
    ]
    lines = [f"  {'ms':28} {'count':>6} {'median':>8} {'p99':>8} {'longest':>8}"]
    for name, part in rows:
        if part.count:
            times = (part.median_s, part.p99_s, part.max_s)
            columns = " ".join(f"{1000 * seconds:8.2f}" for seconds in times)
            lines.append(f"  {name:28} {part.count:6} {columns}")
    delivered = (f"{count} {kind}" for kind, count in Counter(stats.longest).items())
    return [*lines, f"  the longest delivered: {', '.join(delivered) or 'nothing'}"]


# ---------------------------------------------------------------- without a window


def _without_window() -> None:
    """Install the extension and run the pump's plain loop between the steps."""
    import addon_utils
    import bpy

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--engine-python", type=Path, required=True, help="has torch")
    parser.add_argument("--out", type=Path, required=True, help="where the figures go")
    add_arguments(parser)
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    os.environ["DRAGGAN_ENGINE_PYTHON"] = str(options.engine_python.absolute())
    addon_utils.enable("bl_pkg")
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(options.zip.absolute()), enable_on_install=True
    )

    def module(name: str) -> Any:
        return sys.modules[f"{EXTENSION}.draggan_blender.{name}"]

    for wait_s in _measure(module, options):
        module("connection.pump").run_until(lambda _state: False, wait_s)
    addon_utils.disable(EXTENSION)


if __name__ == "__main__":
    _without_window()
