# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes ``panel.png`` and ``drag.png`` for the README: the panel with a dragged image, and frames.

``tools/window.py`` runs it::

    python tools/window.py tools/screenshot.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out docs
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZE = (1400, 900)

# The handle and the target of the nose and of the ear on the left, on the image.
_PAIRS = (((0.513, 0.446), (0.67, 0.43)), ((0.18, 0.491), (0.165, 0.569)))
# How many frames are in ``drag.png``, how large each is, and the space between them, px.
_FRAMES, _FRAME_PX, _SPACE_PX = 5, 256, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script to those of ``tools/window.py``."""
    parser.add_argument("--model", default="suzanne", help="a built-in model's name, or a file")
    parser.add_argument("--seed", type=int, default=4, help="seed of the start image")
    parser.add_argument("--while-dragging", type=Path, help="also take a picture during the drag")


def steps(window: Any) -> Iterator[float]:
    """Make a new image and two pairs, and drag; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.

    Raises:
        RuntimeError: The drag failed.
    """
    import bpy

    options, area = window.options, window.area("VIEW_3D")
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    _look_from_above(area.spaces.active)
    window.open_panels(seeds=False)
    yield from window.show_tab(area)
    with window.within(area):
        bpy.ops.draggan.new_image(model=options.model, seed=options.seed)
        plane = bpy.context.object
    while plane.draggan.request_id:
        yield 0.1
    _look_from_above(area.spaces.active)
    with window.within(area):
        bpy.ops.draggan.keep_colours()
        for handle, target in _PAIRS:
            bpy.ops.draggan.add_pair(handle_uv=handle, target_uv=target)
    yield 3.0
    with window.within(area):
        bpy.ops.draggan.drag()
    pump = window.module("connection.pump")
    taken = options.while_dragging is None
    while plane.draggan.request_id:
        yield 0.01
        if not taken and pump.state().step >= 2:
            taken = True
            yield from window.take(options.while_dragging)
    print(f"screenshot: {plane.draggan.status}", flush=True)
    print(f"screenshot: longest tick {pump.stats().max_s * 1000:.1f} ms", flush=True)
    if plane.draggan.failed:
        raise RuntimeError(plane.draggan.status)
    yield 4.0
    yield from window.take(options.out / "panel.png")
    yield from _frames(window, plane, options.out / "drag.png")


def _look_from_above(space: Any) -> None:
    """Set a 3D view: straight down, orthographic, with textures and without overlays."""
    view = space.region_3d
    view.view_rotation = (1.0, 0.0, 0.0, 0.0)
    view.view_perspective = "ORTHO"
    view.view_location, view.view_distance = (0.3, 0.0, 0.0), 4.2
    space.shading.type = "MATERIAL"
    space.overlay.show_floor = space.overlay.show_cursor = False
    space.overlay.show_relationship_lines = False
    space.overlay.show_axis_x = space.overlay.show_axis_y = False


def _frames(window: Any, plane: Any, path: Path) -> Iterator[float]:
    """Put some frames of the sequence beside each other, with handles and targets drawn in."""
    sequence = plane.draggan.sequence
    folder = window.module("scene.images").sequence_folder(plane)
    file_of = window.module("scene.frame_files").frame_path
    places = window.module("scene.tracks").handles_px(plane.draggan.track)
    px = _FRAME_PX / plane.draggan.size[0]
    last = sequence.frame_count - 1
    numbers = []
    command = ["convert", "-background", "#222222"]
    for index in range(_FRAMES):
        row = round(last * index / (_FRAMES - 1))
        frame = sequence.first_frame + row
        numbers.append(frame)
        drawn = []
        for (x, y), (_, (u, v)) in zip(places[row] * px, _PAIRS, strict=True):
            to_x, to_y = u * _FRAME_PX, (1.0 - v) * _FRAME_PX
            drawn += ["-stroke", "white", "-fill", "none"]
            drawn += ["-draw", f"line {x:.1f},{y:.1f} {to_x:.1f},{to_y:.1f}"]
            drawn += ["-stroke", "#2a6bff", "-strokewidth", "2"]
            drawn += ["-draw", f"circle {to_x:.1f},{to_y:.1f} {to_x + 6.0:.1f},{to_y:.1f}"]
            drawn += ["-strokewidth", "1", "-stroke", "white", "-fill", "#e02020"]
            drawn += ["-draw", f"circle {x:.1f},{y:.1f} {x + 4.0:.1f},{y:.1f}"]
        label = [
            "-stroke",
            "none",
            "-fill",
            "white",
            "-undercolor",
            "#00000090",
            "-pointsize",
            "14",
        ]
        label += ["-annotate", "+5+17", f"frame {frame}"]
        picture = [str(file_of(folder, sequence.stem, frame)), "-resize", f"{_FRAME_PX}x"]
        command += ["(", *picture, *drawn, *label]
        command += ["-bordercolor", "#222222", "-border", str(_SPACE_PX), ")"]
    yield from window.ask([*command, "+append", str(path.absolute())])
    print(f"screenshot: drag.png has the frames {', '.join(map(str, numbers))}", flush=True)
