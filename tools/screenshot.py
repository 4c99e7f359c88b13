# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a picture of the panel and a dragged image in a real Blender window.

For the README, and to see with one's own eyes what tests without a window cannot show: that the
live image moves, that the panel is laid out, that Blender stays responsive. Linux with Xvfb and
ImageMagick; run by any Python::

    python tools/screenshot.py --blender blender --zip dist/draggan_blender-0.1.0.zip \
        --engine-python .venv/bin/python --out docs/panel.png

The same file is the script inside Blender: there it is a chain of steps on a timer, so that
Blender's main loop runs between them as it does under a person's hands.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXTENSION = "bl_ext.user_default.draggan_blender"
WIDTH, HEIGHT = 1400, 900
_TIMEOUT_S = 300.0
#: How the script inside says that it wants a picture.
_TAKE = "take picture: "


def _options() -> argparse.Namespace:
    inside = "--" in sys.argv
    parser = argparse.ArgumentParser()
    parser.add_argument("--blender", default="blender")
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--engine-python", type=Path, required=True)
    parser.add_argument("--model", default="suzanne")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--while-dragging", type=Path, help="one more picture, during the drag")
    return parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if inside else None)


# ---------------------------------------------------------------- outside


def main() -> int:
    """Run Xvfb and a Blender in it; the exit code."""
    options = _options()
    display = f":{90 + os.getpid() % 100}"
    screen = f"{WIDTH}x{HEIGHT}x24"
    server = subprocess.Popen(
        ["Xvfb", display, "-screen", "0", screen, "+extension", "GLX"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="draggan-screenshot-") as user:
            environment = {
                **os.environ,
                "DISPLAY": display,
                "BLENDER_USER_RESOURCES": user,
                "DRAGGAN_ENGINE_PYTHON": str(options.engine_python.absolute()),
            }
            flags = ["--factory-startup", "--gpu-backend", "opengl", "--python-exit-code", "1"]
            geometry = ["--window-geometry", "0", "0", str(WIDTH), str(HEIGHT)]
            script = ["-P", str(Path(__file__).resolve()), "--", *sys.argv[1:]]
            blender = subprocess.Popen(
                [options.blender, *flags, *geometry, *script],
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
    """Hand its output on, and take the pictures that it asks for.

    From the X server: Blender's own operator has nothing before the first redraw.
    """
    assert blender.stdout is not None
    for line in blender.stdout:
        if not line.startswith(_TAKE):
            print(line, end="", flush=True)
            continue
        path = Path(line.removeprefix(_TAKE).strip())
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["import", "-window", "root", str(path)], env=environment, check=True)


# ---------------------------------------------------------------- inside Blender


def _inside() -> None:
    """Install the extension, and hand the steps to a timer."""
    import bpy

    options = _options()
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(options.zip.absolute()), enable_on_install=True
    )
    bpy.context.preferences.view.show_splash = False
    steps = _steps(options)
    started_s = time.monotonic()

    def turn() -> float | None:
        if time.monotonic() - started_s > _TIMEOUT_S - 30.0:
            print("screenshot: took too long", flush=True)
            os._exit(1)
        try:
            return next(steps)
        except StopIteration:
            _leave(0)
        except Exception:  # the root of the timer: without this Blender would wait for ever
            import traceback

            traceback.print_exc()
            _leave(1)
        return None

    bpy.app.timers.register(turn, first_interval=2.0)


def _leave(code: int) -> None:
    import addon_utils

    addon_utils.disable(EXTENSION)
    sys.stdout.flush()
    os._exit(code)


def _steps(options: argparse.Namespace) -> Iterator[float]:
    """What a person would do; each ``yield`` lets Blender's main loop run for so many seconds."""
    import bpy

    window = bpy.context.window_manager.windows[0]
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    space = area.spaces.active
    _look_from_above(space)
    yield 1.0
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.draggan.new_image(model=options.model, seed=options.seed)
        bpy.ops.draggan.use_standard_view()
        plane = bpy.context.object
        while plane.draggan.request_id:
            yield 0.1
        bpy.ops.draggan.add_pair(handle_uv=(0.513, 0.446), target_uv=(0.67, 0.43))
        bpy.ops.draggan.add_pair(handle_uv=(0.18, 0.491), target_uv=(0.165, 0.569))
    _open_tab(area)
    yield 3.0
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.draggan.drag()
    pump = sys.modules[f"{EXTENSION}.draggan_blender.pump"]
    taken = options.while_dragging is None
    while plane.draggan.request_id:
        yield 0.01
        if not taken and pump.state().step >= 8:
            taken = True
            yield from _take(options.while_dragging)
    print(f"screenshot: {plane.draggan.status}", flush=True)
    print(f"screenshot: longest tick {pump.stats().max_s * 1000:.1f} ms", flush=True)
    if plane.draggan.failed:
        raise RuntimeError(plane.draggan.status)
    yield 4.0
    yield from _take(options.out)


def _look_from_above(space: Any) -> None:
    """Straight down, orthographic, in true colours, with the sidebar open."""
    view = space.region_3d
    view.view_rotation = (1.0, 0.0, 0.0, 0.0)
    view.view_perspective = "ORTHO"
    view.view_location, view.view_distance = (0.3, 0.0, 0.0), 4.2
    space.shading.type = "MATERIAL"
    space.overlay.show_floor = space.overlay.show_cursor = False
    space.overlay.show_relationship_lines = False
    space.overlay.show_axis_x = space.overlay.show_axis_y = False
    space.show_region_ui = True


def _open_tab(area: Any) -> None:
    sidebar = next(region for region in area.regions if region.type == "UI")
    sidebar.active_panel_category = "DragGAN"
    area.tag_redraw()


def _take(path: Path) -> Iterator[float]:
    """Ask the process outside for a picture and wait for it."""
    path = path.absolute()
    path.unlink(missing_ok=True)
    print(f"{_TAKE}{path}", flush=True)
    while not path.exists():
        yield 0.05
    yield 0.5


if __name__ == "__main__":
    if "--" in sys.argv:
        _inside()
    else:
        sys.exit(main())
