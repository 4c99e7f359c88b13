# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing images of a sequence are noticed, and the panel says so until they are restored.

The tests call what the timer calls, because timers do not run without a window.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from unittest import mock

import bpy
from recording_layout import RecordingLayout
from support import TIMEOUT_S, SceneCase, ours


class MissingImagesTest(SceneCase):
    def setUp(self) -> None:
        """Drag with the fake engine."""
        super().setUp()
        self.use_fake_engine()
        plane = self.new_plane()
        self.add_pair(plane)
        bpy.context.view_layer.objects.active = plane
        self.drag(plane)
        self.missing_images = ours("jobs.missing_images")

    def tearDown(self) -> None:
        """Stop the timer, which runs in a window only."""
        self.stop_timer()
        super().tearDown()

    def stop_timer(self) -> None:
        timer = self.missing_images._on_timer
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)

    def files(self) -> list[Path]:
        return sorted(ours("scene.images").sequence_folder(self.find_plane()).glob("*.png"))

    def sentence(self) -> str:
        """Look for the files, and return what the panel says."""
        self.missing_images.look()
        layout = RecordingLayout()
        state = ours("connection.pump").state()
        ours("ui.panels.common").draw_status(layout, self.find_plane(), state)
        return " ".join(layout.labels)

    def test_the_panel_says_how_many_are_missing_until_they_are_restored(self) -> None:
        plane = self.find_plane()
        status, count = plane.draggan.status, plane.draggan.sequence.frame_count
        self.assertEqual(self.sentence(), status)
        for path in self.files()[-3:]:
            path.unlink()
        # What was found is not looked for again while the panel is drawn.
        self.assertEqual(self.missing_images.count(plane), 0)
        expected = f"3 of {count} images are missing; press Restore Images"
        self.assertEqual(self.sentence(), expected)
        layout = RecordingLayout()
        ours("ui.panels.common").draw_restore(layout, plane)
        self.assertEqual((layout.operators, layout.alert), (["draggan.render_again"], True))
        shutil.rmtree(self.files()[0].parent)
        self.assertEqual(self.sentence(), f"All {count} images are missing; press Restore Images")
        request_id = ours("jobs.image").render_again(plane)
        self.assertEqual(self.sentence(), "")
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        # Before the next look, too.
        self.assertEqual(self.missing_images.count(plane), 0)
        self.assertEqual(self.sentence(), "Restored the images")
        ours("ui.panels.common").draw_restore(layout, plane)
        self.assertFalse(layout.alert)

    def test_the_file_before_the_first_frame_counts_and_a_still_image_is_never_missing(
        self,
    ) -> None:
        self.files()[0].unlink()
        self.assertIn("1 of ", self.sentence())
        ours("jobs.drag").reset(self.find_plane())
        self.assertEqual(self.missing_images.count(self.find_plane()), 0)
        self.assertEqual(self.sentence(), "")

    def test_a_failure_to_restore_is_said_besides(self) -> None:
        plane = self.find_plane()
        self.files()[1].unlink()
        plane.draggan.status, plane.draggan.failed = "The model is missing", True
        self.assertRegex(self.sentence(), r"^The model is missing 1 of \d+ images is missing")

    def test_an_opened_file_is_looked_at(self) -> None:
        blend = self.folder / "shot.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(blend))
        shutil.rmtree(self.files()[0].parent)
        self.stop_timer()
        with mock.patch.object(bpy.app.timers, "register") as register:
            bpy.ops.wm.open_mainfile(filepath=str(blend))
        registered = [call.args[0] for call in register.call_args_list]
        self.assertIn(self.missing_images._on_timer, registered)
        self.assertIn("All ", self.sentence())

    def test_it_looks_at_most_once_a_second_and_seldom_where_that_takes_long(self) -> None:
        def waited_s() -> float:
            self.stop_timer()
            with mock.patch.object(bpy.app.timers, "register") as register:
                bpy.context.scene.frame_set(bpy.context.scene.frame_current + 1)
            waits = [
                call.kwargs["first_interval"]
                for call in register.call_args_list
                if call.args[0] == self.missing_images._on_timer
            ]
            self.assertTrue(waits)
            return float(waits[0])

        self.missing_images._next_s = 0.0
        self.assertAlmostEqual(waited_s(), 0.1)
        self.missing_images.look()
        self.assertGreater(waited_s(), 0.8)
        frame_files = ours("scene.frame_files")

        def slowly(*_arguments: Any) -> int:
            time.sleep(0.1)
            return 0

        with mock.patch.object(frame_files, "missing", slowly):
            self.missing_images.look()
        self.assertGreater(waited_s(), 4.0)
