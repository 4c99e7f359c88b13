# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare for Farm: what it changes in the open file, and what it tells a job type."""

from __future__ import annotations

import json
import shutil
import subprocess
import unittest
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import rendering
import support
from support import CHECKOUT, SceneCase, ours

MANAGER = CHECKOUT / "tests" / "flamenco" / "manager.js"
JOB_TYPE = CHECKOUT / "extras" / "flamenco" / "draggan_bake.js"


class PrepareCase(SceneCase):
    """Scenes that a farm will bake."""

    def animated(self, last: int = 4) -> Any:
        """Make a plane whose target moves from frame 1 to ``last``."""
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 1, last
        scene.frame_set(1)
        plane = self.new_plane()
        target = self.add_pair(plane).target
        for frame, x in ((1, target.location.x - 0.2), (last, target.location.x)):
            target.location.x = x
            target.keyframe_insert("location", index=0, frame=frame)
        scene.frame_set(1)
        return plane

    def prepare(self) -> Path:
        """Prepare the scene, and return the shared folder."""
        base = self.folder / "shared"
        ours("export.farm").prepare(bpy.context.scene, base)
        return base


class PrepareTest(PrepareCase):
    def setUp(self) -> None:
        """Use the fake engine, which is needed only to make the image."""
        super().setUp()
        self.use_fake_engine()

    def test_the_plane_shows_existing_files_at_an_absolute_path(self) -> None:
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "shot.blend"))
        plane = self.animated()
        base = self.prepare()
        sequence = plane.draggan.sequence
        first = Path(sequence.image.filepath)
        self.assertTrue(first.is_absolute() and first.is_relative_to(base), first)
        names = sorted(path.name for path in first.parent.iterdir())
        self.assertEqual(names, [f"GAN-Image_{number:04d}.png" for number in range(5)])
        self.assertEqual((sequence.first_frame, sequence.frame_count), (1, 4))

    def test_a_plane_that_is_not_baked_yet_renders_the_image_that_the_bake_starts_from(
        self,
    ) -> None:
        plane = self.animated()
        rendering.look_at(plane)
        before = rendering.render(3, self.folder / "before.png")
        self.prepare()
        for frame in (1, 3, 9):
            after = rendering.render(frame, self.folder / f"after{frame}.png")
            np.testing.assert_array_equal(after, before)

    def test_an_image_that_the_farm_writes_is_shown_at_its_frame(self) -> None:
        plane = self.animated()
        self.prepare()
        size = tuple(plane.draggan.size)
        image = bpy.data.images.new("Baked", *size)
        image.pixels.foreach_set(np.tile(np.float32((1, 0, 0, 1)), size[0] * size[1]))
        path = Path(plane.draggan.sequence.image.filepath).with_name("GAN-Image_0003.png")
        path.unlink()
        image.filepath_raw, image.file_format = str(path), "PNG"
        image.save()
        rendering.look_at(plane)
        for frame, is_red in ((2, False), (3, True), (4, False)):
            shown = rendering.render(frame, self.folder / f"{frame}.png")
            self.assertEqual(bool((shown == (255, 0, 0)).all()), is_red, frame)

    def test_the_edit_does_not_change_and_can_still_be_baked_here(self) -> None:
        plane = self.animated()
        bakes = ours("jobs.bake")
        before = bakes.make_edit(plane, range(1, 5))
        self.prepare()
        self.assertEqual(bakes.make_edit(plane, range(1, 5)), before)
        ours("jobs.requests").wait(bakes.start_bake(plane), support.TIMEOUT_S)
        self.assertEqual(ours("export.farm").prepared(bpy.context.scene), [])

    def test_frames_of_an_earlier_bake_are_the_placeholders(self) -> None:
        plane = self.animated()
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), support.TIMEOUT_S)
        folder = ours("scene.images").sequence_folder(plane)
        baked = {path.name: path.read_bytes() for path in folder.glob("*.png")}
        track = plane.draggan.track
        self.prepare()
        prepared = ours("scene.images").sequence_folder(plane)
        self.assertNotEqual(prepared, folder)
        for number in range(1, 5):
            name = f"GAN-Image_{number:04d}.png"
            self.assertEqual((prepared / name).read_bytes(), baked[name])
        # The track is copied, too, so that the farm solves only what has changed since.
        for name in ("edit.draggan", "track.npz"):
            self.assertEqual((prepared / name).read_bytes(), (folder / name).read_bytes())
        self.assertEqual(plane.draggan.track, track)
        self.assertEqual({p.name: p.read_bytes() for p in folder.glob("*.png")}, baked)

    def test_where_an_earlier_bake_has_all_frames_no_packed_image_is_needed(self) -> None:
        plane = self.animated()
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), support.TIMEOUT_S)
        plane.draggan.still.unpack(method="REMOVE")
        self.assertEqual(len(list(self.prepare().rglob("*.png"))), 5)

    def test_the_track_of_an_incomplete_earlier_bake_is_not_copied(self) -> None:
        plane = self.animated()
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), support.TIMEOUT_S)
        folder = ours("scene.images").sequence_folder(plane)
        (folder / "GAN-Image_0003.png").unlink()
        self.prepare()
        prepared = ours("scene.images").sequence_folder(plane)
        self.assertTrue((prepared / "GAN-Image_0003.png").is_file())
        self.assertFalse((prepared / "track.npz").exists())

    def test_no_placeholders_are_written_where_a_farm_is_at_work(self) -> None:
        plane = self.animated()
        base = self.prepare()
        folder = ours("scene.images").sequence_folder(plane)
        (folder / "track.npz").write_bytes(b"solved")
        (folder / "GAN-Image_0003.png").unlink()
        self.assertEqual(self.prepare(), base)
        self.assertFalse((folder / "GAN-Image_0003.png").exists())
        (folder / "GAN-Image_0001.png").unlink()
        with self.assertRaisesRegex(ours("errors").EditError, "at work"):
            self.prepare()

    def test_clear_bake_restores_the_drag_that_was_shown_before(self) -> None:
        plane = self.animated()
        self.drag(plane, 3)
        count = plane.draggan.sequence.frame_count
        bpy.context.scene.frame_set(1 + count)
        self.prepare()
        folder = ours("scene.images").sequence_folder(plane)
        last = ours("scene.frame_files").frame_path(
            Path(bpy.path.abspath(plane.draggan.bake.under.image.filepath)).parent,
            plane.draggan.bake.under.stem,
            count,
        )
        self.assertEqual((folder / "GAN-Image_0002.png").read_bytes(), last.read_bytes())
        ours("jobs.bake").clear(plane)
        self.assertEqual(plane.draggan.sequence.kind, "DRAG")
        self.assertEqual(plane.draggan.sequence.frame_count, count)

    def test_what_would_fail_on_the_farm_is_refused_here_and_nothing_changes(self) -> None:
        errors, farm = ours("errors"), ours("export.farm")
        plane = self.new_plane()
        self.add_pair(plane)
        with self.assertRaisesRegex(errors.EditError, "animated edit"):
            self.prepare()
        target = plane.draggan.pairs[0].target
        target.keyframe_insert("location", frame=1)
        target.location.x = 5.0
        target.keyframe_insert("location", frame=4)
        bpy.context.scene.frame_end = 4
        with self.assertRaisesRegex(errors.EditError, "is outside the image"):
            self.prepare()
        self.assertIsNone(plane.draggan.sequence.image)
        self.assertFalse((self.folder / "shared").exists())
        self.assertEqual(farm.prepared(bpy.context.scene), [])

    def test_the_operator_saves_a_copy_and_does_not_save_the_open_file(self) -> None:
        self.animated()
        path = self.folder / "shot.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        saved = path.read_bytes()
        base = self.folder / "shared"
        bpy.context.scene.draggan_farm.base = str(base)
        self.assertEqual(bpy.ops.draggan.prepare_farm(), {"FINISHED"})
        self.assertEqual(path.read_bytes(), saved)
        self.assertEqual(Path(bpy.data.filepath), path)
        bpy.ops.wm.open_mainfile(filepath=str(base / "shot.blend"))
        (entry,) = ours("export.farm").prepared(bpy.context.scene)
        self.assertEqual(entry["frames"], "1-4")

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_the_expressions_of_the_flamenco_job_type_say_what_is_prepared(self) -> None:
        answer = subprocess.run(
            [str(shutil.which("node")), str(MANAGER)],
            input=json.dumps({"script": str(JOB_TYPE)}),
            capture_output=True,
            text=True,
            check=True,
        )
        settings = json.loads(answer.stdout)["job_type"]["settings"]
        expressions = {item["key"]: item["eval"] for item in settings if "eval" in item}

        def evaluated(name: str) -> Any:
            names = {"bpy": bpy, "C": bpy.context, "Path": Path, "jobname": "job"}
            return eval(expressions[name], names)

        self.assertEqual(evaluated("images"), "[]")
        plane = self.animated()
        base = self.prepare()
        self.assertEqual(evaluated("bake_dir"), str(base))
        self.assertEqual(evaluated("frames"), "1-4")
        (entry,) = json.loads(evaluated("images"))
        self.assertEqual(entry["object"], plane.name)
        self.assertEqual(bpy.data.images[entry["image"]], plane.draggan.sequence.image)
        self.assertEqual(base / entry["file"], Path(plane.draggan.sequence.image.filepath))
        for name in ("fps", "format", "image_file_extension", "has_previews"):
            evaluated(name)
