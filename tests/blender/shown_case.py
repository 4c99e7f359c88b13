# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that compare the pixels of what an image shows."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours

Pixels = NDArray[np.float32]


class ShownCase(SceneCase):
    """A test that reads what an image shows, and lets it follow its sliders and edits."""

    def shown(self, plane: Any) -> Pixels:
        """Return what the file of the shown image has, ``H x W x 4``, bottom row first."""
        image, sequence = plane.draggan.still, plane.draggan.sequence
        if sequence.image is not None:
            number = sequence.first_frame + ours("scene.timing").shown_row(plane)
            image = self.frame(plane, number)
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        return values.reshape(image.size[1], image.size[0], 4)

    def frame(self, plane: Any, number: int) -> Any:
        folder = ours("scene.images").sequence_folder(plane)
        stem = plane.draggan.sequence.stem
        return bpy.data.images.load(str(ours("scene.frame_files").frame_path(folder, stem, number)))

    def render(self, plane: Any) -> Pixels:
        """Let the image follow its sliders and edits, and return it."""
        request_id = ours("jobs.edits").start(plane)
        self.assertIsNotNone(request_id)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        return self.shown(plane)

    def near(self, one: Pixels, other: Pixels) -> None:
        """Compare images but for rounding: a latent is computed in another order."""
        self.assertLessEqual(float(np.abs(one - other).max()), 1.01 / 255)
