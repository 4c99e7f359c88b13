# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering a plane so that each pixel of the render is one pixel of its image."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray


def look_at(plane: Any) -> None:
    """Point an orthographic camera at a plane, at its image's size, with true colours."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", 1
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.render.dither_intensity = 0.0
    scene.render.resolution_x, scene.render.resolution_y = plane.draggan.size
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    camera = bpy.data.cameras.new("Camera")
    camera.type, camera.ortho_scale = "ORTHO", max(plane.dimensions)
    holder = bpy.data.objects.new("Camera", camera)
    holder.location = (*plane.location[:2], plane.location.z + 2.0)
    scene.collection.objects.link(holder)
    scene.camera = holder
    # A sample may be anywhere in its pixel; with the nearest texel that makes no difference.
    for node in plane.active_material.node_tree.nodes:
        if node.type == "TEX_IMAGE":
            node.interpolation = "Closest"


def render(frame: int, path: Path) -> NDArray[Any]:
    """Render a scene frame.

    Returns:
        ``H x W x 3`` levels in 0 to 255, bottom row first.
    """
    scene = bpy.context.scene
    scene.frame_set(frame)
    scene.render.filepath = str(path)
    with _quiet():
        bpy.ops.render.render(write_still=True)
    return read(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what is printed to the standard output, by C code as well: Cycles prints a lot."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def read(path: Path) -> NDArray[Any]:
    """Return the levels of a PNG, ``H x W x 3`` in 0 to 255, bottom row first."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return np.rint(pixels.reshape(height, width, 4)[:, :, :3] * 255.0)
