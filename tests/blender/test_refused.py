# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot become a result is refused before anything is solved, and changes nothing."""

from __future__ import annotations

from typing import Any

import bpy
from support import SceneCase, ours

LAST_FRAME = 1_048_574


class RefusedTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine()
        self.plane: Any = self.new_plane()
        self.add_pair(self.plane)

    def refused(self, pattern: str) -> None:
        """Check that a drag is refused for a reason, and that nothing is left of it."""
        with self.assertRaisesRegex(ours("errors").EditError, pattern):
            ours("jobs.drag").start_drag(bpy.context, self.plane)
        self.assertEqual((self.plane.draggan.request_id, self.plane.draggan.dragging), (0, False))
        self.assertIsNone(ours("connection.pump").state().active)
        self.assertEqual(list(self.folder.rglob("drag-*")), [])

    def test_a_plane_without_a_size(self) -> None:
        for scale in ((0.0, 0.0, 0.0), (1e-30, 1e-30, 1e-30), (0.0, 1.0, 1.0)):
            self.plane.scale = scale
            bpy.context.view_layer.update()
            self.refused("has no size at frame 1")
        self.plane.scale = (0.01, 0.02, 1.0)
        bpy.context.view_layer.update()
        self.drag(self.plane, 2)

    def test_a_plane_whose_parent_has_no_size(self) -> None:
        parent = bpy.data.objects.new("parent", None)
        bpy.context.scene.collection.objects.link(parent)
        self.plane.parent = parent
        parent.scale = (1e-20, 1e-20, 1e-20)
        bpy.context.view_layer.update()
        self.refused("has no size at frame 1")

    def test_uvs_that_are_not_numbers(self) -> None:
        self.plane.data.uv_layers.active.data[0].uv = (float("nan"), 0.0)
        self.refused("coordinates that are not numbers")

    def test_frames_beyond_the_last_one_of_blender(self) -> None:
        bpy.context.scene.frame_set(LAST_FRAME)
        bpy.context.view_layer.update()
        self.refused("could end after Blender's last frame, 1048574")
        bpy.context.scene.frame_set(1)

    def test_a_folder_whose_path_is_too_long_for_blender(self) -> None:
        self.plane.draggan.folder = str(self.folder.joinpath(*["x" * 200] * 5))
        self.refused("has too long a path")

    def test_a_damaged_latent_in_the_file(self) -> None:
        self.plane.draggan.latent = "no base64 at all!"
        self.refused("stored of this image in the .blend is damaged")

    def test_a_damaged_track_in_the_file(self) -> None:
        self.drag(self.plane, 3)
        before = len(list(self.folder.rglob("drag-*")))
        for damaged in ("AAAA", "x", "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="):
            self.plane.draggan.track = damaged
            with self.assertRaises(ours("errors").EditError):
                ours("jobs.drag").start_drag(bpy.context, self.plane)
            self.assertEqual(self.plane.draggan.request_id, 0)
        self.assertEqual(len(list(self.folder.rglob("drag-*"))), before)
