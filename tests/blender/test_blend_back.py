# SPDX-License-Identifier: GPL-3.0-or-later
"""Blending edits back onto a person's own picture: images, sequences, mattes, and the command."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy
from own_picture_case import OwnPictureCase, write_picture
from support import TIMEOUT_S, ours
from test_cli import CliCase


class BlendBackTest(OwnPictureCase):
    def test_an_edit_is_blended_as_an_image_and_a_drag_as_a_sequence(self) -> None:
        plane = self.invert()
        own = plane.draggan.own
        self.assertEqual(bpy.ops.draggan.blend_back(), {"FINISHED"})
        self.wait(plane)
        self.assertIsNotNone(own.blended.packed_file)
        self.add_pair(plane)
        self.drag(plane)
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        self.assertEqual(own.blended.source, "SEQUENCE")
        self.assertTrue(Path(bpy.path.abspath(own.blended.filepath)).is_file())
        self.assertEqual(len(plane.draggan.history.states), 2)
        self.assertIsNone(own.matte)
        plane.draggan.source.seed = 3
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        with self.assertRaisesRegex(RuntimeError, "image of a seed"):
            bpy.ops.draggan.blend_back()

    def test_a_matte_comes_with_the_blended_image_if_it_is_asked_for(self) -> None:
        plane = self.invert()
        own = plane.draggan.own
        own.with_matte = True
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        first = own.matte
        self.assertIsNotNone(first.packed_file)
        self.assertEqual(first.colorspace_settings.name, "Non-Color")
        self.assertEqual(first.name, f"{plane.name} Matte")
        self.assertNotEqual(first, own.blended)
        self.add_pair(plane)
        self.drag(plane)
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        self.assertEqual(own.matte.source, "SEQUENCE")
        shown = own.matte.name, own.blended.name
        self.assertEqual(shown, (f"{plane.name} Matte", f"{plane.name} Blended"))
        paths = [Path(bpy.path.abspath(one.filepath)) for one in (own.matte, own.blended)]
        self.assertEqual(paths[0].name, paths[1].name.replace("blend_", "blend-matte_"))
        self.assertTrue(paths[0].is_file())
        own.with_matte = False
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        self.assertIsNone(own.matte)
        names = [image.name for image in bpy.data.images if "Matte" in image.name]
        self.assertEqual(names, [], "the mattes before are not left in the file")

    def test_what_was_blended_is_read_anew_and_stored_relative_to_the_file(self) -> None:
        plane = self.invert()
        own = plane.draggan.own
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "shot.blend"))
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        first = own.blended
        first.use_fake_user = True
        material = bpy.data.materials.new("Poster")
        material.use_nodes = True
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = first
        path = bpy.path.abspath(first.filepath)
        shutil.rmtree(self.folder / "draggan")
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        self.assertEqual(bpy.path.abspath(own.blended.filepath), path)
        self.assertNotEqual(own.blended, first, "the image of a file that is gone")
        self.assertEqual(node.image, own.blended, "a node shows what was blended last")
        self.add_pair(plane)
        self.drag(plane)
        own.with_matte = True
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        for image in (own.blended, own.matte):
            self.assertTrue(image.filepath.startswith("//draggan/"), image.filepath)

    def test_what_a_copy_blends_replaces_nothing_of_its_original(self) -> None:
        plane = self.invert()
        own = plane.draggan.own
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        first = own.blended
        material = bpy.data.materials.new("Poster")
        material.use_nodes = True
        node = material.node_tree.nodes.new("ShaderNodeTexImage")
        node.image = first
        copy = ours("scene.copies").duplicate(bpy.context, plane)
        request_id = ours("jobs.own_picture").blend_back(copy)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(own.blended, first)
        self.assertEqual(node.image, first)
        self.assertNotIn(copy.draggan.own.blended, (None, first))

    def test_a_portable_copy_has_what_was_blended_and_its_matte(self) -> None:
        plane = self.invert()
        own = plane.draggan.own
        self.add_pair(plane)
        self.drag(plane)
        own.with_matte = True
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        before = own.blended.filepath
        made = Path(bpy.path.abspath(before)).parent
        names = {path.name for path in made.glob("blend*.png")}
        copy = self.folder / "out" / "copy.blend"
        copy.parent.mkdir()
        self.assertEqual(bpy.ops.draggan.bake_down(filepath=str(copy)), {"FINISHED"})
        self.assertEqual(own.blended.filepath, before)
        bpy.ops.wm.open_mainfile(filepath=str(copy))
        own = self.find_plane().draggan.own
        for image in (own.blended, own.matte):
            self.assertTrue(image.filepath.startswith("//copy_images"), image.filepath)
            copied = Path(bpy.path.abspath(image.filepath))
            self.assertTrue(copied.is_file())
        self.assertEqual({path.name for path in copied.parent.iterdir()}, names)

    def test_nothing_is_left_of_a_sequence_that_a_crash_has_ended(self) -> None:
        plane = self.invert()
        plane.draggan.own.with_matte = True
        plane.draggan.folder = str(self.folder / "results")
        self.add_pair(plane)
        self.drag(plane)
        self.use_fake_engine("--fault", "crash_at_step=2")
        request_id = ours("jobs.own_picture").blend_back(plane)
        with self.assertRaisesRegex(ours("errors").EditError, "engine"):
            ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertIsNone(plane.draggan.own.blended)
        names = [path.name for path in (self.folder / "results").rglob("blend*.png")]
        self.assertEqual(names, [])
        self.assertEqual(list((self.folder / "results").rglob("image-*")), [])


class BlendCommandTest(CliCase):
    def test_the_edits_are_blended_and_the_files_copied(self) -> None:
        # The fake engine blends three images, which are those of a drag of two steps.
        self.use_fake_engine("--steps", "2")
        self.assertEqual(self.run_cli("blend"), 2)
        self.assertIn("made from a picture", self.errors)
        self.assertEqual(self.run_cli("invert", str(write_picture(self.folder))), 0)
        planes = ours("scene.planes").everywhere()
        (plane,) = (one for one in planes if one.draggan.own.latent)
        saved = self.folder / "saved.blend"
        arguments = ["--object", plane.name, "--matte", "--out", str(self.out)]
        self.assertEqual(self.run_cli("blend", *arguments, "--save", str(saved)), 0)
        self.assertTrue(saved.is_file())
        own = plane.draggan.own
        self.assertFalse(own.with_matte, "an option of the command, not of the file")
        (folder,) = self.out.iterdir()
        # Two objects whose names are one as a file name must not share it.
        self.assertIn(plane.draggan.uuid[:8], folder.name)
        names = sorted(path.stem for path in folder.iterdir())
        self.assertEqual(len(names), 2)
        self.assertEqual(names[1], f"{names[0]}-matte")
        bpy.context.view_layer.objects.active = plane
        self.add_pair(plane)
        self.drag(plane)
        count = plane.draggan.sequence.frame_count
        self.assertEqual(self.run_cli("blend", *arguments), 0)
        self.assertEqual(len(sorted(folder.glob("blend_*.png"))), count)
        self.assertEqual(len(sorted(folder.glob("blend-matte_*.png"))), count)
        self.assertEqual(self.run_cli("blend", "--object", self.plane.name), 1)
