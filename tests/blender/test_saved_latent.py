# SPDX-License-Identifier: GPL-3.0-or-later
"""*Load Latent*: a latent that another program has saved is an image like every other."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from support import TIMEOUT_S, SceneCase, ours


class SavedLatentTest(SceneCase):
    def saved(self, plane: Any, name: str = "projected_w.npz") -> Path:
        """Save the latent of a plane as the official projector does."""
        settings = plane.draggan
        values = np.frombuffer(base64.b64decode(settings.latent), "<f4")
        path = self.folder / name
        np.savez(path, w=values.reshape(1, -1, settings.w_dim))
        return path

    def loaded(self, path: Path) -> Any:
        """Press *Load Latent* and wait; return the active plane."""
        self.assertEqual(bpy.ops.draggan.load_latent(filepath=str(path)), {"FINISHED"})
        plane = ours("scene.planes").active(bpy.context)
        if plane.draggan.request_id:
            ours("jobs.requests").wait(plane.draggan.request_id, TIMEOUT_S)
        return plane

    def test_a_latent_is_shown_dragged_and_gone_back_to(self) -> None:
        first, plane = self.new_plane(3), self.new_plane(4)
        bpy.context.view_layer.objects.active = plane
        path = self.saved(first)
        self.assertEqual(self.loaded(path), plane)
        settings, history = plane.draggan, ours("scene.history")
        self.assertEqual(settings.latent, first.draggan.latent)
        self.assertEqual(settings.status, "Loaded projected_w.npz")
        labels = [history.label(state) for state in settings.history.states]
        self.assertEqual(labels, ["Seed 4", "Latent 1"])
        self.add_pair(plane)
        self.drag(plane, 2)
        self.assertNotEqual(settings.latent, first.draggan.latent)
        ours("jobs.drag").reset(plane)
        self.assertEqual(settings.latent, first.draggan.latent)
        self.assertEqual(history.label(history.active(plane)), "Latent 1")

    def test_without_an_image_a_new_one_is_made_and_removed_if_the_file_does_not_fit(self) -> None:
        path = self.saved(self.new_plane(3))
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        plane = self.loaded(path)
        self.assertIn("Loaded", plane.draggan.status)
        other = self.folder / "other.npz"
        np.savez(other, w=np.zeros((1, 18, 300), np.float32))
        before = plane.draggan.latent
        request_id = ours("jobs.saved_latent").load(plane, other)
        with self.assertRaisesRegex(ours("errors").EditError, "has 18 x 300 values"):
            ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(plane.draggan.latent, before)
        made = ours("jobs.saved_latent").new_image(
            bpy.context, other, "suzanne", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        )
        with self.assertRaisesRegex(ours("errors").EditError, "has 18 x 300 values"):
            ours("jobs.requests").wait(made.draggan.request_id, TIMEOUT_S)
        self.assertEqual(ours("scene.planes").everywhere(), [plane])

    def test_an_image_that_cannot_begin_leaves_no_plane(self) -> None:
        picture, path = bpy.data.images.new("Drawn", 40, 30), self.folder / "any.npz"
        where = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        for begin in (
            lambda: ours("jobs.image").new_image(bpy.context, ""),
            lambda: ours("jobs.own_picture").new_image(bpy.context, picture, ""),
            lambda: ours("jobs.saved_latent").new_image(bpy.context, path, "", *where),
        ):
            with self.assertRaisesRegex(ours("errors").EditError, "No model was chosen"):
                begin()
            self.assertEqual(ours("scene.planes").everywhere(), [])
        # The operator uses the model of the scene, as the other new images do.
        bpy.context.scene.draggan.source.kind = "FILE"
        with self.assertRaisesRegex(RuntimeError, "No model was chosen"):
            bpy.ops.draggan.load_latent(filepath=str(path))
        self.assertEqual(ours("scene.planes").everywhere(), [])
