# SPDX-License-Identifier: GPL-3.0-or-later
"""The common part of the tests with a person's own picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from support import TIMEOUT_S, SceneCase, ours

WIDTH, HEIGHT = 96, 64


def write_picture(folder: Path) -> Path:
    """Write a PNG of ``WIDTH x HEIGHT`` pixels."""
    image = bpy.data.images.new("picture", WIDTH, HEIGHT)
    pixels = np.random.default_rng(1).random((HEIGHT, WIDTH, 4), dtype=np.float32)
    image.pixels.foreach_set(pixels.ravel())
    path = folder / "picture.png"
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


class OwnPictureCase(SceneCase):
    """A test that has a picture, at ``path``, and the fake engine."""

    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine()
        self.path = write_picture(self.folder)

    def invert(self, **values: Any) -> Any:
        """Make an image of the picture and wait for it."""
        self.assertEqual(
            bpy.ops.draggan.image_from_picture(filepath=str(self.path), **values), {"FINISHED"}
        )
        plane = self.find_plane()
        self.wait(plane)
        return plane

    def wait(self, plane: Any) -> None:
        """Wait for the request of a plane, if it is still running."""
        if plane.draggan.request_id:
            ours("jobs.requests").wait(plane.draggan.request_id, TIMEOUT_S)
