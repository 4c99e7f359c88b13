# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: rendering, saving, opening on another machine, and restoring images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import rendering
import support
from support import TIMEOUT_S, SceneCase, ours


def load_handlers() -> list[str]:
    """Return the names of the extension's functions that Blender calls after a file was opened."""
    return [
        f"{handler.__module__}.{handler.__name__}"
        for handler in bpy.app.handlers.load_post
        if handler.__module__.startswith(support.EXTENSION)
    ]


class FileTest(SceneCase):
    @property
    def blend(self) -> Path:
        """The path of the file that a test saves."""
        return self.folder / "shot" / "shot.blend"

    def save(self) -> None:
        self.blend.parent.mkdir(exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(self.blend))

    def dragged(self, frame: int = 5) -> Any:
        """Save the file, make a plane, and drag it a few steps from a frame on."""
        self.save()
        bpy.context.scene.frame_set(frame)
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane, 4)
        return plane

    def frames(self, plane: Any) -> dict[str, bytes]:
        folder = ours("scene.images").sequence_folder(plane)
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}

    def restore(self, plane: Any) -> None:
        ours("jobs.requests").wait(ours("jobs.image").render_again(plane), TIMEOUT_S)

    def check_renders(self, first: int, count: int, files: list[Path]) -> None:
        """Check that frames before, in and after the sequence render as their PNGs."""
        for frame, expected in (
            (first - 3, files[0]),
            (first, files[1]),
            (first + 1, files[2]),
            (first + count - 1, files[-1]),
            (first + count + 7, files[-1]),
        ):
            found = rendering.render(frame, self.folder / "render.png")
            difference = np.abs(found - rendering.read(expected)).max()
            self.assertLessEqual(difference, 2.0, f"frame {frame}, {expected.name}")

    def test_the_render_equals_the_png_before_in_and_after_the_sequence(self) -> None:
        plane = self.dragged()
        rendering.look_at(plane)
        files = sorted(ours("scene.images").sequence_folder(plane).glob("*.png"))
        count = plane.draggan.sequence.frame_count
        self.assertEqual(len(files), count + 1)
        self.check_renders(5, count, files)
        # The comparison can fail: the first and the last image differ.
        self.assertGreater(np.abs(rendering.read(files[0]) - rendering.read(files[-1])).max(), 4.0)

    def test_another_machine_without_the_extension_renders_the_sequence(self) -> None:
        plane = self.dragged()
        rendering.look_at(plane)
        count = plane.draggan.sequence.frame_count
        self.assertTrue(plane.draggan.sequence.image.filepath.startswith("//"))
        self.save()
        elsewhere = self.folder / "elsewhere"
        shutil.move(self.blend.parent, elsewhere)
        support.disable()
        try:
            bpy.ops.wm.open_mainfile(filepath=str(elsewhere / "shot.blend"))
            self.assertFalse(hasattr(bpy.types.Object, "draggan"))
            files = sorted(elsewhere.glob("draggan/*/drag-0001/*.png"))
            self.check_renders(5, count, files)
        finally:
            support.enable()

    def test_restored_files_are_equal_to_the_lost_ones(self) -> None:
        plane = self.dragged()
        self.save()
        expected = self.frames(plane)
        shutil.rmtree(self.blend.parent / "draggan")
        bpy.ops.wm.open_mainfile(filepath=str(self.blend))
        plane = self.find_plane()
        self.assertEqual(self.frames(plane), {})
        self.restore(plane)
        self.assertEqual(self.frames(plane), expected)
        node = ours("scene.planes").texture_node(plane)
        self.assertEqual(node.image, plane.draggan.sequence.image)
        self.assertEqual(node.image_user.frame_duration, len(expected) - 1)

    def test_images_are_restored_in_a_new_folder_if_the_old_one_cannot_be_made(self) -> None:
        plane = self.dragged()
        expected = self.frames(plane)
        taken = self.folder / "taken"
        taken.write_text("a file where a folder was", encoding="utf-8")
        plane.draggan.sequence.image.filepath = str(taken / "drag-0001" / "GAN-Image_0005.png")
        self.restore(plane)
        self.assertEqual(self.frames(plane), expected)

    def test_without_a_drag_the_still_is_restored(self) -> None:
        plane = self.new_plane()
        still = np.empty(plane.draggan.size[0] * plane.draggan.size[1] * 4, dtype=np.float32)
        plane.draggan.still.pixels.foreach_get(still)
        self.restore(plane)
        again = np.empty_like(still)
        plane.draggan.still.pixels.foreach_get(again)
        np.testing.assert_array_equal(again, still)

    def test_a_new_image_is_packed_into_the_file(self) -> None:
        self.save()
        self.new_plane()
        (still,) = (self.blend.parent / "draggan").rglob("*.png")
        expected = rendering.read(still)
        self.save()
        shutil.rmtree(self.blend.parent / "draggan")
        bpy.ops.wm.open_mainfile(filepath=str(self.blend))
        rendering.look_at(self.find_plane())
        found = rendering.render(1, self.folder / "render.png")
        self.assertLessEqual(np.abs(found - expected).max(), 2.0)

    def test_saving_during_a_drag_saves_the_plane_at_rest(self) -> None:
        self.use_fake_engine("--steps", "400", "--step-s", "0.01")
        plane = self.new_plane()
        self.add_pair(plane)
        pump = ours("connection.pump")
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 3)
        self.save()
        step = pump.state().step
        self.run_until(lambda now: now.step >= step + 3)
        # The drag continues, and its result is shown.
        node = ours("scene.planes").texture_node(plane)
        self.assertEqual(node.image.source, "GENERATED")
        self.assertGreater(plane.draggan.pairs[0].handle.location.x, -0.199)
        ours("jobs.drag").stop_drag(plane)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(node.image.source, "SEQUENCE")

        # The file itself stores the plane at rest: without the extension no handler restores it.
        support.disable()
        try:
            bpy.ops.wm.open_mainfile(filepath=str(self.blend))
            material = bpy.data.materials["GAN Image"]
            (texture,) = (node for node in material.node_tree.nodes if node.type == "TEX_IMAGE")
            self.assertEqual(texture.image.source, "FILE")
            self.assertAlmostEqual(bpy.data.objects["Handle 001"].location.x, -0.2, places=5)
        finally:
            support.enable()
        plane = self.find_plane()
        settings = plane.draggan
        self.assertEqual((settings.request_id, settings.dragging), (0, False))
        self.assertEqual(ours("scene.planes").texture_node(plane).image, settings.still)
        self.assertAlmostEqual(settings.pairs[0].handle.location.x, -0.2, places=5)
        self.assertFalse([image for image in bpy.data.images if image.name.startswith(".")])

    def test_opening_a_file_ends_the_drag_and_not_the_engine(self) -> None:
        self.use_fake_engine("--steps", "2000", "--step-s", "0.01")
        plane = self.new_plane()
        self.add_pair(plane)
        self.save()
        handlers = load_handlers()
        pump = ours("connection.pump")
        for _ in range(2):
            plane = self.find_plane()
            request_id = ours("jobs.drag").start_drag(bpy.context, plane)
            self.run_until(lambda now: now.step >= 2)
            pid = pump.engine_pid()
            bpy.ops.wm.open_mainfile(filepath=str(self.blend))
            self.assertTrue(pump.state().ending_asked)
            with self.assertRaisesRegex(ours("errors").EditError, "was cancelled"):
                ours("jobs.requests").wait(request_id, 10.0)
            plane = self.find_plane()
            self.assertEqual(plane.draggan.request_id, 0)
            self.assertEqual(ours("scene.planes").texture_node(plane).image, plane.draggan.still)
            self.run_until(lambda now: now.active is None, 10.0)
            self.assertEqual(pump.engine_pid(), pid)
        self.assertEqual(load_handlers(), handlers)

    def test_a_drag_goes_on_after_the_first_save_and_after_reopening(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane, 3)
        (self.folder / "project" / "shots").mkdir(parents=True)
        path = str(self.folder / "project" / "shots" / "one.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path, relative_remap=True)
        # Blender makes the path of the images that were in the cache folder relative.
        self.assertTrue(plane.draggan.sequence.image.filepath.startswith("//../../"))
        count = plane.draggan.sequence.frame_count
        self.drag(plane, 3)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        self.assertGreater(plane.draggan.sequence.frame_count, count)
        bpy.ops.wm.save_mainfile()
        bpy.ops.wm.open_mainfile(filepath=path)
        plane = self.find_plane()
        plane.draggan.folder = "//../results"
        self.drag(plane, 3)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        folder = ours("scene.images").sequence_folder(plane)
        self.assertTrue(folder.is_relative_to(self.folder / "project" / "results"), folder)

    def test_the_chosen_folder_is_used(self) -> None:
        plane = self.new_plane()
        plane.draggan.folder = str(self.folder / "chosen")
        self.add_pair(plane)
        self.drag(plane, 2)
        folder = ours("scene.images").sequence_folder(plane)
        self.assertTrue(folder.is_relative_to(self.folder / "chosen"))
        self.assertTrue((folder / "track.npz").is_file())
