# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of sliders begin with: an image of the real engine whose directions are found."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray
from shown_case import Pixels, ShownCase
from support import TIMEOUT_S, ours


class SliderCase(ShownCase):
    """A test with an image that has sliders."""

    def setUp(self) -> None:
        """Make an image, and find the directions of its model in a user folder of this test."""
        super().setUp()
        preferences = ours("preferences")
        self.addCleanup(setattr, preferences, "user_folder", preferences.user_folder)
        preferences.user_folder = lambda: self.folder / "user"
        plane = self.new_plane(3)
        bpy.context.view_layer.objects.active = plane
        self.still = self.shown(plane)
        # As the operator in a window does: the result arrives later, with an undo step.
        add_first = ours("ui.operators.sliders").add_first
        request_id = ours("jobs.directions").find(plane, add_first)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)

    def tearDown(self) -> None:
        """Close the strip, whose picture is in the test's folder."""
        ours("jobs.slider_strip").close()
        super().tearDown()

    def differs(self, one: Pixels, other: Pixels) -> None:
        self.assertGreater(float(np.abs(one - other).max()), 8 / 255)

    def follow(self, until: Callable[[], bool], *looks: str) -> None:
        """Call the timers' functions and the pump until a condition holds."""
        end_s = time.monotonic() + TIMEOUT_S
        while not until():
            self.assertLess(time.monotonic(), end_s, "the condition did not come true")
            ours("jobs.edit_changes").look()
            ours("jobs.slider_strip").go_on()
            ours("connection.pump").tick()
            time.sleep(0.005)

    def latent(self, plane: Any) -> NDArray[np.float32]:
        values: NDArray[np.float32] = ours("scene.sliders").base(plane)
        return values

    def pull(self, plane: Any, steps: int = 3) -> None:
        if not plane.draggan.pairs:
            self.add_pair(plane)
        plane.draggan.pairs[0].target.location.x += 0.04
        bpy.context.view_layer.update()
        self.drag(plane, steps)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
