# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what a drag costs Blender's main thread, and how fast it makes steps meanwhile.

It runs real drags of the built-in model and stops each after some seconds. In a window, whose
drawing competes with the engine for the processor, as in interactive use::

    python tools/window.py tools/tick.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out tick.txt --objects 10000

and without one::

    blender -b --factory-startup --python-exit-code 1 -P tools/tick.py -- --zip ZIP \
        --engine-python .venv/bin/python --out tick.txt

The pump times its ticks itself. The parts of a tick are timed here, by wrapping the functions in
``PARTS``; one part may contain another.
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

# Module of ``draggan_blender`` and function of each part of a tick.
PARTS = (
    ("connection.client", "Client.poll"),
    ("scene.planes", "find"),
    ("scene.points", "move_handles"),
    ("scene.images", "show_preview"),
    ("jobs.drag", "finish"),
    ("scene.images", "show_sequence"),
    ("scene.points", "write_paths"),
    ("jobs.drag", "_go_to_frame"),
    ("jobs.recovery", "settle"),
    ("jobs.recovery", "release_duplicates"),
    ("jobs.delivery", "_push_undo"),
    ("jobs.delivery", "_redraw"),
)

# Returns a module of the installed extension by its name below ``draggan_blender``.
Module = Callable[[str], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script, with and without ``tools/window.py``."""
    parser.add_argument("--method", default="draggan", help="drag method")
    parser.add_argument("--seed", type=int, default=4, help="seed of the start image")
    parser.add_argument("--drags", type=int, default=2, help="number of drags, one after the other")
    parser.add_argument("--seconds", type=float, default=8.0, help="duration of each drag")
    parser.add_argument("--objects", type=int, default=0, help="number of other scene objects")


def steps(window: Any) -> Iterator[float]:
    """Measure with the sidebar open and the plane in view; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.
    """
    area = window.area("VIEW_3D")
    # Without a GPU, other kinds of shading take seconds to draw.
    shading = area.spaces.active.shading
    shading.type, shading.color_type = "SOLID", "TEXTURE"
    yield from window.show_tab(area)
    yield from _measure(window.module, window.options)


# ---------------------------------------------------------------- the drags


class _Watch:
    """Counts messages and drawings, and times the parts of ticks.

    Attributes:
        kinds: Number of delivered messages by kind.
        draws: Number of drawings of the 3D view.
        parts: Durations of each of ``PARTS``.
    """

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
        """Count a drawing of the 3D view."""
        self.draws += 1

    def clear(self) -> None:
        """Set all counts and durations to zero."""
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
    """Run all drags; prints their figures and writes them to the file ``options.out``."""
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
        lines += [f"  {count / seconds:6.1f} {name} per second" for name, count in rates.items()]
        lines += [*live, "  and its ending:", *_figures(pump.stats(), watch)]
    text = "\n".join(lines)
    print(text, flush=True)
    options.out.write_text(text + "\n")


def _add_others(count: int) -> None:
    """Add small meshes below the plane; meshes, because a GAN image is one too."""
    import bpy

    mesh = bpy.data.meshes.new("Other")
    mesh.from_pydata([(0.0, 0.0, 0.0), (0.01, 0.0, 0.0), (0.0, 0.01, 0.0)], [], [(0, 1, 2)])
    for index in range(count):
        other = bpy.data.objects.new("Other", mesh)
        other.location = (index % 100 * 0.1, index // 100 * 0.1, -5.0)
        bpy.context.scene.collection.objects.link(other)


def _set_up(module: Module, plane: Any, method: str) -> None:
    """Add a pair whose target is too far away to be reached, and disable the limits."""
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
        *((f"{module}.{function}", part) for (module, function), part in watch.parts.items()),
    ]
    lines = [f"  {'ms':34} {'count':>6} {'median':>8} {'p99':>8} {'longest':>8}"]
    for name, part in rows:
        if part.count:
            times = (part.median_s, part.p99_s, part.max_s)
            columns = " ".join(f"{1000 * seconds:8.2f}" for seconds in times)
            lines.append(f"  {name:34} {part.count:6} {columns}")
    delivered = (f"{count} {kind}" for kind, count in Counter(stats.longest).items())
    return [*lines, f"  delivered by the longest tick: {', '.join(delivered) or 'nothing'}"]


# ---------------------------------------------------------------- without a window


def _without_window() -> None:
    """Install the extension and run the pump's plain loop between the steps."""
    import addon_utils
    import bpy

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--engine-python", type=Path, required=True, help="a Python with PyTorch")
    parser.add_argument("--out", type=Path, required=True, help="file for the figures")
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
