# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a chain of steps in a real Blender window, and takes pictures of it.

For the pictures in ``docs/``, and to see with one's own eyes what tests without a window cannot
show: that the live image moves, that panels are laid out, that Blender stays responsive. Linux
with Xvfb, xdotool and ImageMagick; run by any Python::

    python tools/window.py tools/screenshot.py --blender blender \
        --zip dist/draggan_blender-0.1.0.zip --engine-python .venv/bin/python --out docs/panel.png

The first argument is a file that has ``SIZE``, the window's width and height, and a generator
``steps(window)``, which does what a person would; each ``yield`` lets Blender's main loop run for
so many seconds. It may have ``add_arguments(parser)``.

The same file runs in two processes. Outside it starts Xvfb and Blender, takes the pictures and
presses the mouse button, because Blender's own picture is empty before the first redraw. Inside it
hands the steps to a timer, so that Blender's main loop runs between them as it does under a
person's hands, and asks the process outside by lines on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXTENSION = "bl_ext.user_default.draggan_blender"
_TIMEOUT_S = 1800.0
#: How the process inside asks the one outside; what follows is JSON.
_ASK = "window, please: "

#: Left, top, width and height in pixels of the window.
Box = tuple[int, int, int, int]


def _parsed(arguments: list[str]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options, and what the file with the steps defines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("script", type=Path, help="the file with the steps")
    parser.add_argument("--blender", default="blender")
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--engine-python", type=Path, required=True, help="has torch")
    parser.add_argument("--out", type=Path, required=True, help="where the pictures go")
    script = runpy.run_path(next(part for part in arguments if part.endswith(".py")))
    script.get("add_arguments", lambda _parser: None)(parser)
    return parser.parse_args(arguments), script


# ---------------------------------------------------------------- outside


def main() -> int:
    """Run Xvfb and a Blender in it; the exit code."""
    options, script = _parsed(sys.argv[1:])
    width, height = script["SIZE"]
    display = f":{90 + os.getpid() % 100}"
    server = subprocess.Popen(
        ["Xvfb", display, "-screen", "0", f"{width}x{height}x24", "+extension", "GLX"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="draggan-window-") as user:
            environment = {
                **os.environ,
                "DISPLAY": display,
                "BLENDER_USER_RESOURCES": user,
                "DRAGGAN_ENGINE_PYTHON": str(options.engine_python.absolute()),
            }
            flags = ["--factory-startup", "--gpu-backend", "opengl", "--python-exit-code", "1"]
            geometry = ["--window-geometry", "0", "0", str(width), str(height)]
            inside = ["-P", str(Path(__file__).resolve()), "--", *sys.argv[1:]]
            blender = subprocess.Popen(
                [options.blender, *flags, *geometry, *inside],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            _serve(blender, environment)
            return blender.wait()
    finally:
        server.terminate()
        server.wait()


def _serve(blender: subprocess.Popen[str], environment: dict[str, str]) -> None:
    """Hand its output on, and do what it asks for."""
    assert blender.stdout is not None
    for line in blender.stdout:
        if not line.startswith(_ASK):
            print(line, end="", flush=True)
            continue
        asked = json.loads(line.removeprefix(_ASK))
        subprocess.run(asked["command"], env=environment, check=True)
        if asked["done"]:
            Path(asked["done"]).touch()


# ---------------------------------------------------------------- inside Blender


class Window:
    """Blender's window under the steps' hands. Generators are to be run by ``yield from``."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Take the first window of this Blender."""
        import bpy

        self.options = options
        self.window = bpy.context.window_manager.windows[0]

    def area(self, kind: str) -> Any:
        """The first editor of a type, such as ``VIEW_3D``."""
        return next(area for area in self.window.screen.areas if area.type == kind)

    def region(self, area: Any, kind: str = "WINDOW") -> Any:
        """A part of an editor."""
        return next(region for region in area.regions if region.type == kind)

    def within(self, area: Any, kind: str = "WINDOW") -> Any:
        """A context in which operators find the editor, for a ``with`` that has no ``yield``."""
        import bpy

        return bpy.context.temp_override(
            window=self.window, area=area, region=self.region(area, kind)
        )

    def box(self, part: Any) -> Box:
        """Where an editor or a region is."""
        return part.x, self.window.height - part.y - part.height, part.width, part.height

    def module(self, name: str) -> Any:
        """A module of the installed extension."""
        return sys.modules[f"{EXTENSION}.draggan_blender.{name}"]

    def show_tab(self, area: Any, name: str = "DragGAN") -> Iterator[float]:
        """Open the sidebar at a tab."""
        area.spaces.active.show_region_ui = True
        yield 1.0  # it has tabs once it was drawn
        self.region(area, "UI").active_panel_category = name
        area.tag_redraw()

    def take(self, path: Path, box: Box | None = None) -> Iterator[float]:
        """Take a picture of a part of the window, or of all of it."""
        width, height = self.window.width, self.window.height
        # In the status bar, where it brings no tooltip into the picture.
        yield from self.ask(["xdotool", "mousemove", str(width // 2), str(height - 4)])
        for _ in range(2):  # panels whose height has changed find their place in the second
            for area in self.window.screen.areas:
                area.tag_redraw()
            yield 1.5
        command = ["import", "-window", "root"]
        if box is not None:
            left, top, width, height = box
            command += ["-crop", f"{width}x{height}+{left}+{top}", "+repage"]
        path.parent.mkdir(parents=True, exist_ok=True)
        yield from self.ask([*command, str(path.absolute())])
        # An interface has few colours: a palette is a third of the file.
        fewer = ["-dither", "None", "-colors", "255", f"PNG8:{path.absolute()}"]
        yield from self.ask(["convert", str(path.absolute()), *fewer])

    def click(self, x: int, y: int) -> Iterator[float]:
        """Press and release the left button."""
        yield from self.ask(["xdotool", "mousemove", str(x), str(y), "sleep", "0.5", "click", "1"])

    def pull(self, x: int, y: int, up: int) -> Iterator[float]:
        """Move the edge between two editors up by so many px."""
        # Without a graphics card Blender takes a second to notice the mouse.
        rest = ["sleep", "1.5"]
        begin = ["mousemove", str(x), str(y), *rest, "mousedown", "1", *rest]
        half = ["mousemove", str(x), str(y - up // 2), *rest]
        end = ["mousemove", str(x), str(y - up), *rest, "mouseup", "1"]
        yield from self.ask(["xdotool", *begin, *half, *end])

    def press(self, x: int, y: int, key: str) -> Iterator[float]:
        """Press a key with the mouse over a place."""
        yield from self.ask(["xdotool", "mousemove", str(x), str(y), "sleep", "0.5", "key", key])

    def ask(self, command: list[str]) -> Iterator[float]:
        """Have the process outside run a command, and wait for it; a failing one ends it all."""
        with tempfile.TemporaryDirectory() as folder:
            done = Path(folder, "done")
            print(f"{_ASK}{json.dumps({'command': command, 'done': str(done)})}", flush=True)
            while not done.exists():
                yield 0.05
        yield 0.5


def _inside() -> None:
    """Install the extension, and hand the steps to a timer."""
    import bpy

    options, script = _parsed(sys.argv[sys.argv.index("--") + 1 :])
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(options.zip.absolute()), enable_on_install=True
    )
    bpy.context.preferences.view.show_splash = False
    steps = script["steps"](Window(options))
    started_s = time.monotonic()

    def turn() -> float | None:
        if time.monotonic() - started_s > _TIMEOUT_S:
            print("window: took too long", flush=True)
            os._exit(1)
        try:
            waited_s: float = next(steps)
            return waited_s
        except StopIteration:
            _leave(0)
        except Exception:  # the root of the timer: without this Blender would wait for ever
            import traceback

            traceback.print_exc()
            _leave(1)
        return None

    # A file that is opened or saved must not end the steps.
    bpy.app.timers.register(turn, first_interval=2.0, persistent=True)


def _leave(code: int) -> None:
    import addon_utils

    addon_utils.disable(EXTENSION)
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    if "--" in sys.argv:
        _inside()
    else:
        sys.exit(main())
