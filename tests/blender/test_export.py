# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for other programs and people: images, video, track, and the portable copy."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import rendering
import support
from numpy.typing import NDArray
from support import SceneCase, ours

FIRST, STEPS = 5, 6
COUNT = STEPS + 1


def linear(levels: NDArray[Any]) -> NDArray[Any]:
    """Convert sRGB levels in 0 to 255 to scene-linear values (IEC 61966-2-1)."""
    value = levels / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


class ExportCase(SceneCase):
    def dragged(self) -> Any:
        """Make a plane with a sequence of images that all differ, as the active object."""
        self.use_fake_engine("--steps", str(STEPS), "--step-s", "0")
        bpy.context.scene.frame_set(FIRST)
        plane = self.new_plane()
        pair = self.add_pair(plane)
        pair.target.location.x = 0.8
        bpy.context.view_layer.update()
        self.drag(plane, 1000)
        bpy.context.view_layer.objects.active = plane
        return plane

    def source(self, plane: Any, number: int) -> Path:
        """Return a file of the sequence."""
        folder = ours("scene.images").sequence_folder(plane)
        return folder / f"{plane.draggan.sequence.stem}_{number:04d}.png"

    def refused(self, text: str) -> Any:
        """Expect an ``EditError`` with this text."""
        return self.assertRaisesRegex(ours("errors").EditError, text)


class ImagesTest(ExportCase):
    def test_png_files_are_copies_of_the_sequence_numbered_by_scene_frame(self) -> None:
        plane, out = self.dragged(), self.folder / "out"
        self.assertEqual(bpy.ops.draggan.export_frames(directory=str(out)), {"FINISHED"})
        stem = plane.draggan.sequence.stem
        names = [f"{stem}_{number:04d}.png" for number in range(FIRST, FIRST + COUNT)]
        self.assertEqual(sorted(os.listdir(out)), names)
        for number, name in enumerate(names, FIRST):
            self.assertEqual((out / name).read_bytes(), self.source(plane, number).read_bytes())

    def test_a_retimed_plane_exports_what_the_timeline_shows(self) -> None:
        plane, out = self.dragged(), self.folder / "out"
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 3, 3 + 2 * STEPS
        ours("timeline.retiming").retime(plane)
        curve = ours("compat").find_fcurve(plane, '["draggan_progress"]', 0)
        # The sequence runs at half speed and backwards.
        curve.keyframe_points[0].co = (3, 1.0)
        curve.keyframe_points[1].co = (3 + 2 * STEPS, 0.0)
        curve.update()
        scene.frame_set(7, subframe=0.25)
        files = list(ours("export.files").frames(plane, out, "PNG"))
        self.assertEqual((scene.frame_current, scene.frame_subframe), (7, 0.25))
        self.assertEqual(len(files), 2 * STEPS + 1)
        for index, row in ((0, STEPS), (2, STEPS - 1), (2 * STEPS, 0)):
            self.assertTrue(files[index].name.endswith(f"_{3 + index:04d}.png"))
            expected = self.source(plane, FIRST + row).read_bytes()
            self.assertEqual(files[index].read_bytes(), expected)

    def test_exr_files_are_scene_linear_with_any_view_transform(self) -> None:
        plane, out = self.dragged(), self.folder / "out"
        bpy.context.scene.view_settings.view_transform = "AgX"
        scenes, images = set(bpy.data.scenes), set(bpy.data.images)
        done = bpy.ops.draggan.export_frames(directory=str(out), file_format="OPEN_EXR")
        self.assertEqual(done, {"FINISHED"})
        self.assertEqual((set(bpy.data.scenes), set(bpy.data.images)), (scenes, images))
        files = sorted(out.iterdir())
        self.assertEqual(len(files), COUNT)
        for number, path in enumerate(files, FIRST):
            self.assertEqual(path.suffix, ".exr")
            image = bpy.data.images.load(str(path))
            self.assertTrue(image.is_float)
            self.assertEqual(tuple(image.size), tuple(plane.draggan.size))
            pixels = np.empty(image.size[0] * image.size[1] * 4, dtype=np.float32)
            image.pixels.foreach_get(pixels)
            found = pixels.reshape(image.size[1], image.size[0], 4)[:, :, :3]
            expected = linear(rendering.read(self.source(plane, number)))
            # A half float has 11 significant bits.
            np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4)

    def test_what_cannot_be_exported_is_refused_with_a_message(self) -> None:
        plane, exporting = self.dragged(), ours("export.files")
        with self.refused("choose another one to export to"):
            exporting.frames(plane, ours("scene.images").sequence_folder(plane), "PNG")
        taken = self.folder / "taken"
        taken.write_text("a file", encoding="utf-8")
        with self.refused("cannot be written"):
            list(exporting.frames(plane, taken, "PNG"))
        self.source(plane, FIRST + 2).unlink()
        for call in (
            lambda: exporting.frames(plane, self.folder / "out", "PNG"),
            lambda: exporting.video(plane, self.folder / "out.mp4"),
            lambda: ours("export.portable_copy").bake_down(self.folder / "copy.blend"),
        ):
            with self.refused("is missing; press Restore Images"):
                call()
        self.assertFalse((self.folder / "out").exists())
        ours("jobs.drag").reset(plane)
        with self.refused("no sequence to export"):
            exporting.frames(plane, self.folder / "out", "PNG")
        with self.refused("no track to export"):
            exporting.track(plane, self.folder / "track.npz")


class FileTest(ExportCase):
    def test_the_video_shows_the_frames_in_their_colours(self) -> None:
        plane = self.dragged()
        render = bpy.context.scene.render
        render.fps, render.fps_base = 30, 1.001
        path = self.folder / "out" / "clip.mp4"
        scenes = set(bpy.data.scenes)
        self.assertEqual(bpy.ops.draggan.export_video(filepath=str(path)), {"FINISHED"})
        self.assertEqual(set(bpy.data.scenes), scenes)
        self.assertEqual(os.listdir(path.parent), ["clip.mp4"])
        clip = bpy.data.movieclips.load(str(path))
        self.assertEqual(clip.frame_duration, COUNT)
        self.assertEqual(tuple(clip.size), tuple(plane.draggan.size))
        self.assertAlmostEqual(clip.fps, 30 / 1.001, places=2)

        rendering.look_at(plane)
        node = ours("scene.planes").texture_node(plane)
        node.image = bpy.data.images.load(str(path))
        node.image_user.frame_start, node.image_user.frame_duration = 1, COUNT
        node.image_user.frame_offset = 0
        for frame in (1, 4, COUNT):
            found = rendering.render(frame, self.folder / "render.png")
            known = [
                rendering.read(self.source(plane, number)) for number in range(FIRST, FIRST + COUNT)
            ]
            differences = [np.abs(found - one).mean() for one in known]
            self.assertEqual(int(np.argmin(differences)), frame - 1)
            # H.264 halves the resolution of the colours and rounds.
            self.assertLess(min(differences), 4.0)

    def test_a_video_has_the_size_and_the_frames_that_were_asked_for(self) -> None:
        plane, path = self.dragged(), self.folder / "out" / "clip.mp4"
        wanted = {"scale": 3, "use_range": True, "frame_start": FIRST + 1, "frame_end": FIRST + 2}
        bpy.ops.draggan.export_video(filepath=str(path), quality="LOW", **wanted)
        clip = bpy.data.movieclips.load(str(path))
        self.assertEqual(clip.frame_duration, 2)
        self.assertEqual(tuple(clip.size), tuple(3 * side for side in plane.draggan.size))
        with self.assertRaisesRegex(RuntimeError, "no image in this range"):
            bpy.ops.draggan.export_video(
                filepath=str(path), use_range=True, frame_start=900, frame_end=901
            )

    def test_the_track_is_written_unchanged(self) -> None:
        plane, path = self.dragged(), self.folder / "out" / "track.npz"
        self.assertEqual(bpy.ops.draggan.export_track(filepath=str(path)), {"FINISHED"})
        self.assertEqual(path.read_bytes(), base64.b64decode(plane.draggan.track))
        self.assertEqual(os.listdir(path.parent), ["track.npz"])


class PortableCopyTest(ExportCase):
    def check_elsewhere(self, copy: Path, files: list[Path]) -> None:
        """Move the copy with its folder, and check its renders without the extension."""
        levels = [rendering.read(path) for path in files]
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        for name in (copy.name, f"{copy.stem}_images"):
            shutil.move(copy.parent / name, elsewhere / name)
        for path in files:
            path.unlink()
        support.disable()
        try:
            bpy.ops.wm.open_mainfile(filepath=str(elsewhere / copy.name))
            self.assertFalse(hasattr(bpy.types.Object, "draggan"))
            for frame, expected in zip((1, FIRST, FIRST + 3, FIRST + 90), levels, strict=True):
                found = rendering.render(frame, self.folder / "render.png")
                self.assertLessEqual(np.abs(found - expected).max(), 2.0, f"frame {frame}")
        finally:
            support.enable()

    def files(self, plane: Any) -> list[Path]:
        """Return the files shown before the sequence, at its first frame, in it, and after it."""
        numbers = (FIRST - 1, FIRST, FIRST + 3, FIRST + STEPS)
        return [self.source(plane, number) for number in numbers]

    def test_a_copy_of_an_unsaved_file_shows_the_same_elsewhere(self) -> None:
        plane = self.dragged()
        rendering.look_at(plane)
        copy = self.folder / "out" / "copy.blend"
        copy.parent.mkdir()
        image, before = plane.draggan.sequence.image, plane.draggan.sequence.image.filepath
        self.assertEqual(bpy.ops.draggan.bake_down(filepath=str(copy)), {"FINISHED"})
        self.assertEqual(image.filepath, before)
        self.assertEqual(bpy.data.filepath, "")
        self.check_elsewhere(copy, self.files(plane))

    def test_a_copy_of_a_saved_file_keeps_its_retiming_and_the_file_is_unchanged(self) -> None:
        blend = self.folder / "shot" / "shot.blend"
        blend.parent.mkdir()
        bpy.ops.wm.save_as_mainfile(filepath=str(blend))
        plane = self.dragged()
        rendering.look_at(plane)
        ours("timeline.retiming").retime(plane)
        other = bpy.data.images.load(str(self.source(plane, FIRST)), check_existing=False)
        other.use_fake_user, other.filepath = True, "//textures/wood.png"
        image = plane.draggan.sequence.image
        before = image.filepath
        self.assertTrue(before.startswith("//draggan/"))
        copy = self.folder / "out" / "copy.blend"
        copy.parent.mkdir()
        ours("export.portable_copy").bake_down(copy)
        self.assertEqual((image.filepath, other.filepath), (before, "//textures/wood.png"))
        self.assertEqual(bpy.data.filepath, str(blend))
        with bpy.data.libraries.load(str(copy)) as (there, here):
            here.images = list(there.images)
        paths = {Path(image.filepath).name: image for image in here.images if image is not None}
        self.assertIn("wood.png", paths)
        wood = os.path.realpath(
            bpy.path.abspath(paths["wood.png"].filepath, library=paths["wood.png"].library)
        )
        self.assertEqual(wood, os.path.realpath(blend.parent / "textures" / "wood.png"))
        self.check_elsewhere(copy, self.files(plane))

    def test_a_copy_over_the_open_file_is_refused(self) -> None:
        self.dragged()
        blend = self.folder / "shot.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(blend))
        with self.refused("the open file itself"):
            ours("export.portable_copy").bake_down(blend)
