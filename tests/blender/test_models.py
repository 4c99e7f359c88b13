# SPDX-License-Identifier: GPL-3.0-or-later
"""The person's models: added by the real engine, picked, described, removed, and found again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import bpy
from support import CHECKOUT, TIMEOUT_S, SceneCase, ours

GOLDEN = CHECKOUT / "tests" / "data" / "golden"


class ModelsTest(SceneCase):
    """Each test has a library of its own."""

    def setUp(self) -> None:
        """Use an empty library."""
        super().setUp()
        self.library = ours("jobs.library")
        self.models = self.folder / "models"
        preferences = ours("preferences")
        before = preferences.models_folder
        preferences.models_folder = lambda: self.models
        self.addCleanup(setattr, preferences, "models_folder", before)
        self.library._look_again()
        self.library._problems.clear()

    def add(self, *names: str) -> list[Any]:
        """Add files of the golden models by the operator, and return the library."""
        files = [{"name": name} for name in names]
        done = bpy.ops.draggan.add_model(directory=str(GOLDEN), files=files)
        self.assertEqual(done, {"FINISHED"})
        own: list[Any] = self.library.own()
        return own

    def test_several_files_are_added_with_all_that_is_known(self) -> None:
        self.assertEqual([entry.name for entry in self.library.everything()], ["Suzanne"])
        found = self.add("ada_r64.pkl", "ada_cond_r32.pkl")
        self.assertEqual([entry.name for entry in found], ["ada_cond_r32", "ada_r64"])
        labelled, plain = found
        self.assertGreater(labelled.labels, 0)
        self.assertEqual((plain.width, plain.height, plain.labels), (64, 64, 0))
        self.assertEqual(plain.origin, str(GOLDEN / "ada_r64.pkl"))
        self.assertGreater(plain.size_bytes, 1000)
        self.assertEqual(ours("scene.thumbnails").to_pixels(plain.thumbnail).shape, (64, 64, 4))
        # Again: nothing changes.
        self.assertEqual(self.add("ada_r64.pkl"), found)
        self.assertEqual(self.library.adding(), [])

    def test_a_file_that_is_not_a_model_is_refused_in_a_sentence(self) -> None:
        (self.folder / "cat.pkl").write_bytes(b"<html>no cat here</html>")
        with self.assertRaisesRegex(RuntimeError, r"cat\.pkl"):
            bpy.ops.draggan.add_model(directory=str(self.folder), files=[{"name": "cat.pkl"}])
        (problem,) = self.library.problems()
        self.assertIn("cat.pkl", problem)
        self.assertEqual(self.library.own(), [])
        bpy.ops.draggan.cancel_adding()
        self.assertEqual(self.library.problems(), [])
        with self.assertRaisesRegex(RuntimeError, "No file was chosen"):
            bpy.ops.draggan.add_model(directory=str(self.folder))

    def test_an_address_in_the_field_of_the_file_is_no_model(self) -> None:
        source = bpy.context.scene.draggan.source
        source.kind, source.path = "FILE", "https://example.org/face.pkl"
        self.assertIsNone(self.library.shown(source))

    def test_a_click_picks_a_model_for_the_next_image_and_for_the_active_one(self) -> None:
        (entry,) = self.add("ada_r64.pkl")
        scene = bpy.context.scene.draggan.source
        self.assertEqual(bpy.ops.draggan.pick_model(chosen="ada_r64"), {"FINISHED"})
        self.assertEqual((scene.kind, scene.path), ("FILE", str(entry.path)))
        self.assertEqual(self.library.shown(scene), entry)
        self.assertEqual(bpy.ops.draggan.new_image(), {"FINISHED"})
        plane = self.find_plane()
        self.assertEqual(tuple(plane.draggan.size), (64, 64))
        self.assertEqual(plane.draggan.model_sha256, entry.sha256)
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(bpy.ops.draggan.pick_model(chosen="Suzanne"), {"FINISHED"})
        self.assertEqual(plane.draggan.source.kind, "BUILT_IN")
        self.assertEqual(tuple(plane.draggan.size), (128, 128))
        self.assertEqual(len(plane.draggan.history.states), 2)
        with self.assertRaisesRegex(RuntimeError, "no model called"):
            bpy.ops.draggan.pick_model(chosen="Nobody")

    def test_name_and_note_are_the_persons_and_the_built_in_model_stays(self) -> None:
        self.add("ada_r64.pkl")
        describe = bpy.ops.draggan.describe_model
        done = describe(chosen="ada_r64", name="Faces", note="CC BY-NC, for my show")
        self.assertEqual(done, {"FINISHED"})
        (entry,) = self.library.own()
        self.assertEqual((entry.name, entry.note), ("Faces", "CC BY-NC, for my show"))
        with self.assertRaisesRegex(RuntimeError, "Another model is called Suzanne"):
            describe(chosen="Faces", name="Suzanne", note="")
        with self.assertRaisesRegex(RuntimeError, "name is empty"):
            describe(chosen="Faces", name=" ", note="")
        with self.assertRaisesRegex(RuntimeError, "belongs to the extension"):
            bpy.ops.draggan.remove_model(chosen="Suzanne")
        self.assertEqual(bpy.ops.draggan.remove_model(chosen="Faces"), {"FINISHED"})
        self.assertEqual(self.library.own(), [])
        self.assertEqual(list(self.models.iterdir()), [])
        self.assertTrue((GOLDEN / "ada_r64.pkl").exists())

    def test_an_undo_leaves_what_is_being_added(self) -> None:
        (request_id,) = self.library.add([GOLDEN / "ada_r64.pkl"])
        bpy.ops.mesh.primitive_cube_add()
        bpy.ops.ed.undo_push(message="Cube")
        bpy.ops.ed.undo()
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(len(self.library.own()), 1)

    def image_of_a_file(self) -> tuple[Any, Path]:
        """Make an image with a model that is a file, and return the plane and the file."""
        path = self.folder / "face.pkl"
        shutil.copyfile(GOLDEN / "ada_r64.pkl", path)
        plane = ours("jobs.image").new_image(bpy.context, str(path), 1, 0.7)
        ours("jobs.requests").wait(plane.draggan.request_id, TIMEOUT_S)
        bpy.context.view_layer.objects.active = plane
        return plane, path

    def test_a_moved_model_is_found_in_the_library_when_the_file_is_opened(self) -> None:
        _, path = self.image_of_a_file()
        (entry,) = self.add("ada_r64.pkl")
        blend = str(self.folder / "scene.blend")
        bpy.ops.wm.save_as_mainfile(filepath=blend)
        bpy.ops.wm.open_mainfile(filepath=blend)
        self.assertEqual(self.find_plane().draggan.source.path, str(path))
        path.unlink()
        bpy.ops.wm.open_mainfile(filepath=blend)
        plane = self.find_plane()
        self.assertEqual(plane.draggan.source.path, str(entry.path))
        self.assertEqual(plane.draggan.history.states[0].model_path, str(entry.path))
        self.assertFalse(ours("jobs.relinking").is_missing(plane))
        # The converted model makes the same image, and goes on with what the first one made.
        latent = plane.draggan.latent
        bpy.context.view_layer.objects.active = plane
        self.add_pair(plane)
        self.drag(plane, 2)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        bpy.ops.draggan.resample()
        self.assertEqual(plane.draggan.latent, latent)

    def test_a_model_that_is_not_found_is_asked_for_and_compared(self) -> None:
        plane, path = self.image_of_a_file()
        relinking = ours("jobs.relinking")
        moved = self.folder / "elsewhere.pkl"
        path.rename(moved)
        relinking.find_all()
        self.assertTrue(relinking.is_missing(plane))
        with self.assertRaisesRegex(RuntimeError, "is not the model that this image was made with"):
            bpy.ops.draggan.relink_model(filepath=str(GOLDEN / "ada_cond_r32.pkl"))
        self.assertTrue(plane.draggan.failed)
        self.assertEqual(plane.draggan.source.path, str(path))
        self.assertEqual(bpy.ops.draggan.relink_model(filepath=str(moved)), {"FINISHED"})
        self.assertEqual(plane.draggan.source.path, str(moved))
        self.assertEqual(plane.draggan.history.states[0].model_path, str(moved))
        self.assertFalse(relinking.is_missing(plane))

    def test_files_that_are_dropped_onto_a_view_are_added(self) -> None:
        handler = bpy.types.FileHandler.bl_rna_get_subclass_py("DRAGGAN_FH_model")
        self.assertEqual(handler.bl_import_operator, "draggan.add_model")
        self.assertIn(".pkl", handler.bl_file_extensions.split(";"))
        self.assertIn(".safetensors", handler.bl_file_extensions.split(";"))
