# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes ``docs/panel.png`` for the README: the panel and a dragged image.

``tools/window.py`` runs it::

    python tools/window.py tools/screenshot.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out docs/panel.png
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZE = (1400, 900)


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
    yield from window.show_tab(area)
    with window.within(area):
        bpy.ops.draggan.new_image(model=options.model, seed=options.seed)
        bpy.ops.draggan.use_standard_view()
        plane = bpy.context.object
    while plane.draggan.request_id:
        yield 0.1
    with window.within(area):
        bpy.ops.draggan.add_pair(handle_uv=(0.513, 0.446), target_uv=(0.67, 0.43))
        bpy.ops.draggan.add_pair(handle_uv=(0.18, 0.491), target_uv=(0.165, 0.569))
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
    yield from window.take(options.out)


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
