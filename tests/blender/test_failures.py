# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures: the scene is as before, the message says why, and the action can be repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import bpy
import support
from support import TIMEOUT_S, SceneCase, ours


class FailureTest(SceneCase):
    def at_rest(self, plane: Any) -> None:
        """Check that the plane shows its still, and the handle is where it was placed."""
        node = ours("scene.planes").texture_node(plane)
        self.assertEqual(node.image, plane.draggan.still)
        self.assertAlmostEqual(plane.draggan.pairs[0].handle.location.x, -0.2, places=5)
        self.assertEqual((plane.draggan.request_id, plane.draggan.dragging), (0, False))
        self.assertFalse([image for image in bpy.data.images if image.name.startswith(".")])

    def kill(self) -> None:
        """Kill the engine, as the system does when memory runs out."""
        os.kill(ours("connection.pump").engine_pid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    def test_a_killed_engine_leaves_the_steps_so_far_to_the_next_one(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        plane.draggan.folder = str(self.folder / "results")
        request_id = self.start_endless_drag(plane)
        self.kill()
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        settings = plane.draggan
        count = settings.sequence.frame_count
        kept = rf"^The engine ended; the \d+ steps so far were kept: {count} images?$"
        self.assertRegex(settings.status, kept)
        self.assertEqual((settings.request_id, settings.dragging), (0, False))
        (folder,) = Path(settings.folder).rglob("drag-*")
        names = {path.name for path in folder.iterdir()}
        self.assertEqual(len(names), settings.sequence.frame_count + 2)
        self.assertIn("track.npz", names)
        self.assertGreater(settings.pairs[0].handle.location.x, -0.2)
        self.assertFalse([image for image in bpy.data.images if image.name.startswith(".")])
        self.assertEqual(ours("connection.pump").state().error, "")

    def test_a_new_image_that_cannot_be_made_does_not_vanish_without_a_word(self) -> None:
        # Nothing is left whose panel could say it.
        path = self.folder / "broken.pkl"
        path.write_bytes(b"no model")
        new_image, error = ours("jobs.image").new_image, ours("errors").EditError
        with mock.patch.object(ours("jobs.delivery"), "tell") as told:
            request_id = new_image(bpy.context, str(path), 1, 0.7).draggan.request_id
            with self.assertRaises(error) as raised:
                ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(ours("scene.planes").everywhere(), [])
        told.assert_called_once_with("No GAN image was made", str(raised.exception))
        # What a person has cancelled is not told.
        with mock.patch.object(ours("jobs.delivery"), "tell") as told:
            plane = new_image(bpy.context, support.model, 1, 0.7)
            request_id = plane.draggan.request_id
            ours("connection.pump").cancel_job(plane.draggan.uuid)
            with self.assertRaises(error):
                ours("jobs.requests").wait(request_id, TIMEOUT_S)
        told.assert_not_called()

    def lose_a_drag(self) -> tuple[Any, int]:
        """Kill a fake engine during a drag whose steps are on the disk; return plane and drag."""
        self.use_fake_engine("--steps", "2000", "--step-s", "0.01", "--fault", "slow_start=0.5")
        plane = self.new_plane()
        self.add_pair(plane)
        plane.draggan.folder = str(self.folder / "results")
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 2)
        (folder,) = Path(plane.draggan.folder).rglob("drag-*")
        (folder / "drag.journal").write_bytes(b"of the fake engine")
        self.kill()
        self.run_until(lambda now: now.engine.value == "starting")
        self.assertEqual((plane.draggan.request_id, plane.draggan.dragging), (request_id, True))
        return plane, request_id

    def test_an_engine_that_is_killed_again_leaves_the_scene_as_it_was(self) -> None:
        plane, request_id = self.lose_a_drag()
        self.kill()
        with self.assertRaisesRegex(ours("errors").EditError, "The engine was lost"):
            ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.at_rest(plane)
        self.assertTrue(plane.draggan.failed)
        folder = Path(plane.draggan.folder)
        self.assertEqual([*folder.rglob("drag-*/*"), *folder.rglob("drag-*")], [])
        self.assertIn("Start Engine", ours("connection.pump").state().error)
        self.assertEqual(bpy.ops.draggan.engine_start(), {"FINISHED"})
        self.drag(plane, 2)
        self.assertGreater(plane.draggan.sequence.frame_count, 1)

    def test_cancel_ends_a_drag_that_waits_for_the_next_engine(self) -> None:
        plane, _ = self.lose_a_drag()
        ours("jobs.recovery").cancel(plane)
        self.at_rest(plane)
        self.assertEqual(list(Path(plane.draggan.folder).rglob("drag-*")), [])

    def test_a_crash_and_a_cancel_restore_everything(self) -> None:
        self.use_fake_engine("--fault", "crash_at_step=4")
        plane = self.new_plane()
        self.add_pair(plane)
        plane.draggan.folder = str(self.folder / "results")
        with self.assertRaisesRegex(ours("errors").EditError, "asked to crash"):
            ours("jobs.requests").wait(ours("jobs.drag").start_drag(bpy.context, plane), TIMEOUT_S)
        self.at_rest(plane)
        self.assertEqual(list(Path(plane.draggan.folder).rglob("drag-*")), [])
        self.use_fake_engine("--steps", "2000", "--step-s", "0.01")
        ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 2)
        ours("jobs.recovery").cancel(plane)
        self.run_until(lambda now: now.active is None)
        self.at_rest(plane)

    def test_deleting_a_plane_during_its_drag_ends_the_drag(self) -> None:
        self.use_fake_engine("--steps", "2000", "--step-s", "0.01")
        plane = self.new_plane()
        self.add_pair(plane)
        ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 2)
        # As when a person deletes it, its points and its material with the image stay.
        bpy.data.objects.remove(plane)
        self.run_until(lambda now: now.active is None, 10.0)
        self.assertFalse([image for image in bpy.data.images if image.name.startswith(".")])

    def test_a_plane_duplicated_during_a_drag_is_settled_when_the_drag_ends(self) -> None:
        self.use_fake_engine("--steps", "2000", "--step-s", "0.01")
        plane = self.new_plane()
        self.add_pair(plane)
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 2)
        twin = plane.copy()
        bpy.context.scene.collection.objects.link(twin)
        ours("jobs.drag").stop_drag(plane)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        texture_node = ours("scene.planes").texture_node
        self.assertEqual(texture_node(plane).image, plane.draggan.sequence.image)
        self.assertEqual((twin.draggan.request_id, twin.draggan.dragging), (0, False))
        self.assertEqual(texture_node(twin).image, twin.draggan.still)
        self.assertNotEqual(twin.draggan.uuid, plane.draggan.uuid)

    def test_without_an_engine_the_message_says_what_to_press_run_or_set(self) -> None:
        self.stop_engine()
        python = os.environ.pop("DRAGGAN_ENGINE_PYTHON")
        try:
            with self.assertRaisesRegex(RuntimeError, "DRAGGAN_ENGINE_PYTHON"):
                bpy.ops.draggan.engine_start()
            with self.assertRaisesRegex(RuntimeError, "preferences"):
                bpy.ops.draggan.new_image()
        finally:
            os.environ["DRAGGAN_ENGINE_PYTHON"] = python
        self.assertEqual(ours("scene.planes").everywhere(), [])
        self.assertFalse([item for item in bpy.data.collections if "GAN" in item.name])

    def test_a_missing_model_is_reported_and_leaves_no_plane(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "missing.pkl"):
            bpy.ops.draggan.new_image(model=str(self.folder / "missing.pkl"))
        self.assertEqual(ours("scene.planes").everywhere(), [])
        self.assertIn("missing.pkl", ours("connection.pump").state().error)

    def test_another_model_under_the_same_path_is_refused(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        plane.draggan.model_sha256 = "0" * 64
        with self.assertRaises(ours("errors").EditError):
            self.drag(plane)
        self.at_rest(plane)
        self.assertEqual(list(self.folder.rglob("drag-*")), [])


class OtherProcessTest(SceneCase):
    def start_other(self, *arguments: str) -> Any:
        """Start another Blender that uses the same installed extension."""
        script = Path(__file__).with_name("other_blender.py")
        temporary = self.folder / "temporary"
        temporary.mkdir()
        return subprocess.Popen(
            support.blender_command(script, support.model, str(self.folder), *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )

    def read_until(self, process: Any, word: str) -> str:
        """Read the process's lines until one starts with ``word``, and return that line."""
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(word):
                return line
        raise AssertionError("".join(lines))

    def test_two_blenders_do_not_disturb_each_other(self) -> None:
        other = self.start_other("drag")
        self.read_until(other, "ready")
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane, 6)
        self.assertGreater(plane.draggan.sequence.frame_count, 1)
        self.assertIn("px left", self.read_until(other, "status"))
        other.stdout.close()
        self.assertEqual(other.wait(30), 0)

    @unittest.skipUnless(os.name == "posix", "needs POSIX signals")
    def test_the_engine_ends_when_its_blender_is_killed(self) -> None:
        other = self.start_other("long-drag")
        engine_pid = int(self.read_until(other, "dragging").split()[1])
        self.assertTrue(support.is_running(engine_pid))
        other.kill()
        other.wait()
        killed_s = time.monotonic()
        while support.is_running(engine_pid) and time.monotonic() - killed_s < 5.0:
            time.sleep(0.02)
        self.assertLess(time.monotonic() - killed_s, 2.0)
        # A killed Blender leaves its own temporary folder, which contains none of our files.
        left = [path.name for path in (self.folder / "temporary").rglob("*")]
        self.assertEqual([name for name in left if not name.startswith("blender_")], [])
        other.stdout.close()
