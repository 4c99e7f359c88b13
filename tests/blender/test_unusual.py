# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, folders, clocks and sequences that are unusual, with the fake engine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

import bpy
import numpy as np
from support import TIMEOUT_S, SceneCase, ours


class UnusualTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine("--steps", "6")

    def saved(self, name: str = "with_image.blend") -> Path:
        """Save a file with a dragged image, and open an empty one."""
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane)
        path = self.folder / name
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        return path

    def brought(self, path: Path, *, link: bool) -> Any:
        """Link or append the collection of the image; return its plane."""
        with bpy.data.libraries.load(str(path), link=link) as (there, here):
            here.collections = list(there.collections)
        for collection in here.collections:
            if not any(collection.name in other.children for other in bpy.data.collections):
                bpy.context.scene.collection.children.link(collection)
        bpy.context.view_layer.update()
        (plane,) = (one for one in bpy.data.objects if one.type == "MESH")
        bpy.context.view_layer.objects.active = plane
        return plane

    def test_an_appended_image_is_dragged_and_baked(self) -> None:
        self.brought(self.saved(), link=False)
        plane = self.find_plane()
        before = plane.draggan.latent
        plane.draggan.pairs[0].target.location.x += 0.1
        bpy.context.view_layer.update()
        self.drag(plane)
        self.assertNotEqual(plane.draggan.latent, before)
        plane.draggan.bake.use_own_range = True
        plane.draggan.bake.frame_start, plane.draggan.bake.frame_end = 1, 3
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), TIMEOUT_S)

    def test_a_linked_image_is_shown_and_left_alone(self) -> None:
        plane = self.brought(self.saved(), link=True)
        self.assertEqual(ours("scene.planes").everywhere(), [])
        self.assertFalse(bpy.ops.draggan.drag.poll())
        self.assertFalse(bpy.ops.draggan.bake.poll())
        image = plane.active_material.node_tree.nodes["GAN Image"].image
        self.assertTrue(Path(bpy.path.abspath(image.filepath, library=image.library)).is_file())
        # A new image beside it is another one.
        self.new_plane()
        self.assertNotEqual(self.find_plane(), plane)

    def test_an_override_of_a_linked_image_is_left_alone(self) -> None:
        plane = self.brought(self.saved(), link=True)
        mine = plane.override_create(remap_local_usages=True)
        bpy.context.view_layer.objects.active = mine
        self.assertEqual(ours("scene.planes").everywhere(), [])
        self.assertFalse(bpy.ops.draggan.drag.poll())

    def test_an_override_of_all_that_belongs_to_an_image_is_left_alone(self) -> None:
        planes = ours("scene.planes")
        linked = self.brought(self.saved(), link=True)
        self.assertTrue(planes.is_of_another_file(linked))
        (collection,) = linked.users_collection
        collection.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
        (mine,) = (one for one in bpy.data.objects if one.type == "MESH" and not one.library)
        # It has pairs and a uuid, but Blender refuses more pairs.
        self.assertEqual(len(mine.draggan.pairs), 1)
        bpy.context.view_layer.objects.active = mine
        self.assertEqual(planes.everywhere(), [])
        self.assertTrue(planes.is_of_another_file(mine))
        self.assertFalse(bpy.ops.draggan.drag.poll())
        self.assertIsNone(planes.image_of(mine.draggan.pairs[0].target))

    def test_a_linked_image_that_was_made_local_is_dragged_and_saved(self) -> None:
        self.new_plane()
        path = self.folder / "without_pairs.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        self.brought(path, link=True).select_set(True)
        bpy.ops.object.make_local(type="SELECT_OBJECT")
        plane = self.find_plane()
        # Blender would let Python change it, and forget the change.
        self.assertTrue(plane.active_material.library)
        bpy.context.scene.collection.objects.link(plane)
        bpy.context.view_layer.objects.active = plane
        self.add_pair(plane)
        self.drag(plane)
        shown = ours("scene.planes").texture_node(plane).image.name
        path = self.folder / "other.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        bpy.ops.wm.open_mainfile(filepath=str(path))
        plane = self.find_plane()
        self.assertEqual((plane.active_material.library, plane.data.library), (None, None))
        self.assertEqual(ours("scene.planes").texture_node(plane).image.name, shown)
        self.assertEqual(plane.draggan.sequence.image.name, shown)

    def test_two_images_at_once(self) -> None:
        first, second = self.new_plane(1), self.new_plane(2)
        for plane in (first, second):
            self.add_pair(plane)
        start = ours("jobs.drag").start_drag
        ids = [start(bpy.context, plane) for plane in (first, second)]
        for request_id in reversed(ids):
            ours("jobs.requests").wait(request_id, TIMEOUT_S)
        folders = {ours("scene.images").sequence_folder(plane) for plane in (first, second)}
        self.assertEqual(len(folders), 2)
        self.assertNotEqual(first.draggan.latent, second.draggan.latent)
        # One waits while the other is cancelled.
        ids = [start(bpy.context, plane) for plane in (first, second)]
        ours("jobs.recovery").cancel(first)
        ours("jobs.requests").wait(ids[1], TIMEOUT_S)
        self.assertIn("Reached", second.draggan.status)

    def test_the_clock_is_set_back_during_a_drag(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        begun = time.time()
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        with mock.patch("time.time", lambda: begun - 1e7):
            ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertIn("Reached", plane.draggan.status)

    def test_paths_that_are_long_and_not_ascii(self) -> None:
        folder = self.folder / "Grüße 你好 🐒" / ("x" * 120) / ("ä" * 60)
        folder.mkdir(parents=True)
        path = folder / "Aufnahme ß.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        plane = self.new_plane()
        plane.name = "Äffchen 🐒"
        self.add_pair(plane)
        self.drag(plane)
        self.assertTrue(ours("scene.images").sequence_folder(plane).is_relative_to(folder))
        bpy.ops.wm.save_mainfile()
        bpy.ops.wm.open_mainfile(filepath=str(path))
        plane = self.find_plane()
        image = plane.draggan.sequence.image
        self.assertTrue(image.filepath.startswith("//"))
        self.assertGreater(image.size[0], 0)
        self.drag(plane)
        found = ours("jobs.missing_images")
        bpy.context.view_layer.objects.active = plane
        found.look()
        self.assertEqual(found.count(plane), 0)

    def test_a_sequence_of_4000_frames(self) -> None:
        plane = self.new_plane()
        pair = self.add_pair(plane)
        self.drag(plane, 2)
        settings, images = plane.draggan, ours("scene.images")
        folder, stem, count = images.sequence_folder(plane), settings.sequence.stem, 4000
        name = ours("protocol.file_names").frame_file
        for number in range(settings.sequence.frame_count + 1, count + 1):
            os.link(folder / name(stem, 1), folder / name(stem, number))
        begun_s = time.perf_counter()
        images.show_sequence(plane, folder, stem, 1, count)
        path = np.linspace((-0.2, 0.0), (0.3, 0.1), count)
        ours("scene.timing").write_path(plane, pair.handle, 1, path)
        found = ours("jobs.missing_images")
        bpy.context.view_layer.objects.active = plane
        found.look()
        self.assertEqual(found.count(plane), 0)
        for frame in (4000, 2000, 5000):
            bpy.context.scene.frame_set(frame)
            row = min(frame, count) - 1
            self.assertEqual(ours("scene.timing").shown_row(plane), row)
            self.assertAlmostEqual(pair.handle.location.x, path[row, 0], places=4)
        read = ours("scene.timing").read_path(plane, pair.handle)
        np.testing.assert_allclose(read, path, atol=1e-5)
        self.assertLess(time.perf_counter() - begun_s, 5.0)
        (folder / name(stem, 1234)).unlink()
        self.assertEqual(found._missing(plane), 1)

    def raw(self, group: Any) -> Any:
        """Return the stored values of a group, of which a later version may have others."""
        values = getattr(group, "bl_system_properties_get", None)
        return group if values is None else values()

    def test_a_file_of_a_later_version_opens_with_what_is_known(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane)
        settings = plane.draggan
        self.raw(settings.history.states[-1])["kind"] = 99
        self.raw(settings.drag)["method"] = 99
        self.raw(settings)["something_new"] = "later"
        path = str(self.folder / "later.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        plane = self.find_plane()
        history = ours("scene.history")
        labels = [history.label(state) for state in plane.draggan.history.states]
        self.assertEqual(labels[1], "State 1")
        history.restore(plane, plane.draggan.history.states[0])
        history.restore(plane, plane.draggan.history.states[1])
        with self.assertRaisesRegex(ours("errors").EditError, "of a later version.*choose"):
            ours("jobs.drag").start_drag(bpy.context, plane)
        plane.draggan.drag.method = "draggan"
        self.drag(plane)
