# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a sequence of steps in a real Blender window and takes pictures of it.

It makes the pictures in ``docs/``, and shows what tests without a window cannot show: that the live
image moves, that panels have the right layout, and that Blender stays responsive. It needs Linux
with Xvfb, xdotool and ImageMagick, and runs in any Python::

    python tools/window.py tools/screenshot.py --blender blender \
        --zip dist/draggan_blender-0.1.0.zip --engine-python .venv/bin/python --out docs/panel.png

The first argument is a Python file with ``SIZE``, the window's width and height, and a generator
function ``steps(window)``, which does what a person would do; each ``yield`` lets Blender's main
loop run for that number of seconds. The file may also have ``add_arguments(parser)``.

This file runs in two processes. The outer process starts Xvfb and Blender, takes the pictures and
sends mouse and keyboard events, because Blender's own screenshot is empty before the first redraw.
The inner process, in Blender, runs the steps from a timer, so that Blender's main loop runs between
them as in interactive use. It sends commands to the outer process as lines on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXTENSION = "bl_ext.user_default.draggan_blender"
_TIMEOUT_S = 1800.0
# Between two pictures of a recording.
_RECORD_S = 0.08
# Starts a line with a command for the outer process; the rest of the line is JSON.
_ASK = "window, please: "

# Left, top, width and height in pixels of the window.
Box = tuple[int, int, int, int]


def _parsed(arguments: list[str]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return the options, and the names that the file with the steps defines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("script", type=Path, help="the file with the steps")
    parser.add_argument("--blender", default="blender", help="Blender's executable")
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--engine-python", type=Path, help="a Python with PyTorch; else none")
    parser.add_argument("--user", type=Path, help="Blender's user folder, which is kept")
    parser.add_argument("--out", type=Path, required=True, help="file or folder for the output")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar="PX", help="another width and height than the script's"
    )
    script = runpy.run_path(next(part for part in arguments if part.endswith(".py")))
    script.get("add_arguments", lambda _parser: None)(parser)
    return parser.parse_args(arguments), script


# ---------------------------------------------------------------- outside


def main() -> int:
    """Run Xvfb and Blender in it; returns Blender's exit code."""
    options, script = _parsed(sys.argv[1:])
    width, height = options.size or script["SIZE"]
    with tempfile.TemporaryDirectory(prefix="draggan-window-") as user:
        # The contents of the screen, as a file of the X Window Dump format.
        screen = Path(user, "Xvfb_screen0")
        if options.user is not None:
            options.user.mkdir(parents=True, exist_ok=True)
        server, display = _start_server(["-screen", "0", f"{width}x{height}x24", "-fbdir", user])
        try:
            environment = {
                **os.environ,
                "DISPLAY": display,
                "BLENDER_USER_RESOURCES": str((options.user or Path(user)).absolute()),
            }
            if options.engine_python is not None:
                environment["DRAGGAN_ENGINE_PYTHON"] = str(options.engine_python.absolute())
            flags = ["--factory-startup", "--gpu-backend", "opengl", "--python-exit-code", "1"]
            geometry = ["--window-geometry", "0", "0", str(width), str(height)]
            inside = ["-P", str(Path(__file__).resolve()), "--", *sys.argv[1:]]
            blender = subprocess.Popen(
                [options.blender, *flags, *geometry, *inside],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            _serve(blender, environment, screen)
            return blender.wait()
        finally:
            server.terminate()
            server.wait()


def _start_server(arguments: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """Start Xvfb on a display that is free, and return it with the name of the display.

    Raises:
        RuntimeError: Xvfb has ended at once.
    """
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(writing,),
    )
    os.close(writing)
    with os.fdopen(reading) as numbers:
        number = numbers.readline().strip()
    if not number:
        server.wait()
        raise RuntimeError(f"Xvfb has ended with code {server.returncode}")
    return server, f":{number}"


class _Recorder(threading.Thread):
    """Copies the contents of the screen several times a second, until it is told to stop."""

    def __init__(self, screen: Path, folder: Path) -> None:
        super().__init__(daemon=True)
        self._screen = screen
        self._folder = folder
        self._stopped = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        number = 0
        while not self._stopped.wait(_RECORD_S):
            part = shutil.copyfile(self._screen, self._folder / "part")
            part.rename(self._folder / f"{number:04d}.xwd")
            number += 1

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _serve(blender: subprocess.Popen[str], environment: dict[str, str], screen: Path) -> None:
    """Print Blender's output, and run the commands that it asks for."""
    assert blender.stdout is not None
    recorder: _Recorder | None = None
    for line in blender.stdout:
        if not line.startswith(_ASK):
            print(line, end="", flush=True)
            continue
        asked = json.loads(line.removeprefix(_ASK))
        if "record" in asked:
            if recorder is not None:
                recorder.stop()
            recorder = _Recorder(screen, Path(asked["record"])) if asked["record"] else None
            if recorder is not None:
                recorder.start()
            continue
        subprocess.run(asked["command"], env=environment, check=True)
        if asked["done"]:
            Path(asked["done"]).touch()


# ---------------------------------------------------------------- inside Blender


class Window:
    """Blender's window for the steps. Run its generator methods with ``yield from``.

    Attributes:
        options: The options of the command line.
        window: Blender's ``Window``.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Take the first window of this Blender."""
        import bpy

        self.options = options
        self.window = bpy.context.window_manager.windows[0]

    def area(self, kind: str) -> Any:
        """Return the first editor of a type, such as ``VIEW_3D``."""
        return next(area for area in self.window.screen.areas if area.type == kind)

    def region(self, area: Any, kind: str = "WINDOW") -> Any:
        """Return the region of a type in an editor, such as ``UI``."""
        return next(region for region in area.regions if region.type == kind)

    def within(self, area: Any, kind: str = "WINDOW") -> Any:
        """Return a context manager that runs operators in an editor.

        The ``with`` block must not contain a ``yield``.
        """
        import bpy

        return bpy.context.temp_override(
            window=self.window, area=area, region=self.region(area, kind)
        )

    def box(self, part: Any) -> Box:
        """Return the box of an editor or a region."""
        return part.x, self.window.height - part.y - part.height, part.width, part.height

    def module(self, name: str) -> Any:
        """Return a module of the installed extension by its name below ``draggan_blender``."""
        return sys.modules[f"{EXTENSION}.draggan_blender.{name}"]

    def open_panels(self, **is_open: bool) -> None:
        """Set which panels are open when the tab is shown for the first time.

        Blender has no other way to open a panel than a click, whose place depends on all panels
        above it.

        Args:
            is_open: For the end of a panel's ``bl_idname``, as in ``bake_settings``, whether it is
                open; other panels stay as they are.
        """
        import bpy

        # A panel must be registered after its parent.
        classes = [part for part in self.module("ui.panels").CLASSES if hasattr(part, "bl_label")]
        for part in reversed(classes):
            bpy.utils.unregister_class(part)
        for part in classes:
            wanted = is_open.get(part.bl_idname.removeprefix("DRAGGAN_PT_"))
            options = set(getattr(part, "bl_options", ()))
            if wanted is not None:
                part.bl_options = (
                    options - {"DEFAULT_CLOSED"} if wanted else options | {"DEFAULT_CLOSED"}
                )
            bpy.utils.register_class(part)

    def show_tab(self, area: Any, name: str = "DragGAN") -> Iterator[float]:
        """Open the sidebar at a tab."""
        area.spaces.active.show_region_ui = True
        yield 1.0  # the sidebar has tabs after it was drawn
        self.region(area, "UI").active_panel_category = name
        area.tag_redraw()

    def take(self, path: Path, box: Box | None = None) -> Iterator[float]:
        """Take a picture of a box of the window, by default all of it, as a PNG of 255 colours."""
        width, height = self.window.width, self.window.height
        # Over the status bar, the mouse does not bring a tooltip into the picture.
        yield from self.ask(["xdotool", "mousemove", str(width // 2), str(height - 4)])
        for _ in range(2):  # after a change of height, panels get their places in the second one
            for area in self.window.screen.areas:
                area.tag_redraw()
            yield 1.5
        command = ["import", "-window", "root"]
        if box is not None:
            left, top, width, height = box
            command += ["-crop", f"{width}x{height}+{left}+{top}", "+repage"]
        path.parent.mkdir(parents=True, exist_ok=True)
        yield from self.ask([*command, str(path.absolute())])
        # A user interface has few colours: with a palette, the file is a third as large.
        fewer = ["-dither", "None", "-colors", "255", f"PNG8:{path.absolute()}"]
        yield from self.ask(["convert", str(path.absolute()), *fewer])

    def record(self, folder: Path | None) -> None:
        """Begin to write the contents of the screen into a folder; None to stop.

        The files are numbered X Window Dumps, about ``1 / _RECORD_S`` of them a second.
        """
        print(f"{_ASK}{json.dumps({'record': str(folder) if folder else ''})}", flush=True)

    def ask(self, command: list[str]) -> Iterator[float]:
        """Let the outer process run a command, and wait until it is done.

        A command that fails ends the outer process, which ends Xvfb and with it Blender.
        """
        with tempfile.TemporaryDirectory() as folder:
            done = Path(folder, "done")
            print(f"{_ASK}{json.dumps({'command': command, 'done': str(done)})}", flush=True)
            while not done.exists():
                yield 0.05
        yield 0.5


def _inside() -> None:
    """Install the extension, and run the steps from a timer."""
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
            print(f"window: the steps took longer than {_TIMEOUT_S:.0f} s", flush=True)
            os._exit(1)
        try:
            waited_s: float = next(steps)
            return waited_s
        except StopIteration:
            _leave(0)
        except Exception:  # the timer's outermost function: otherwise Blender would never end
            import traceback

            traceback.print_exc()
            _leave(1)
        return None

    # Persistent, so that opening a file does not end the steps.
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
