# SPDX-License-Identifier: GPL-3.0-or-later
"""The plane, its material and its points, without the engine."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import numpy as np
from mathutils import Euler, Matrix
from support import SceneCase, ours


def orthographic(degrees: float) -> Any:
    """Return a view that sees the origin in its middle, at an angle to the plane z = 0."""
    turn = Euler((math.radians(90.0 - degrees), 0.0, 0.0)).to_matrix().to_4x4()
    eye = turn @ Matrix.Translation((0.0, 0.0, 5.0))
    window = Matrix.Diagonal((0.15, 0.2, -0.01, 1.0))
    return SimpleNamespace(
        is_perspective=False,
        view_matrix=eye.inverted(),
        perspective_matrix=window @ eye.inverted(),
        window_matrix=window,
        view_perspective="ORTHO",
    )


class PlaneTest(SceneCase):
    def create(self, width: int = 64, height: int = 64) -> Any:
        """Add a plane with the aspect of an image; it has a latent, but no image."""
        planes = ours("scene.planes")
        plane = planes.create(bpy.context)
        planes.fit_to_size(plane, width, height)
        plane.draggan.latent = "AAAA"
        return plane

    def placed(self, plane: Any) -> Any:
        """Return the pairs of the plane with their positions at the current frame."""
        bpy.context.view_layer.update()
        return ours("scene.placed_pairs").read_pairs(bpy.context, plane)

    def test_the_plane_has_the_image_s_aspect_and_is_in_a_new_collection(self) -> None:
        plane = self.create(128, 64)
        self.assertEqual(tuple(round(side, 5) for side in plane.dimensions), (2.0, 1.0, 0.0))
        (collection,) = plane.users_collection
        self.assertEqual(list(collection.objects), [plane])
        self.assertIn(collection.name, bpy.context.scene.collection.children)

    def subdivided(self) -> Any:
        """Return a square plane of 25 vertices, scaled to a side of 6 and turned by 90 degrees."""
        plane = self.create()
        bpy.context.view_layer.objects.active = plane
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.mesh.subdivide(number_cuts=3)
        bpy.ops.object.mode_set(mode="OBJECT")
        for vertex in plane.data.vertices:
            vertex.co = (-3.0 * vertex.co.y + 10.0, 3.0 * vertex.co.x, 0.5)
        plane.data.update()
        bpy.context.view_layer.update()
        return plane

    def test_a_plane_with_more_vertices_gets_the_aspect_as_well(self) -> None:
        plane = self.subdivided()
        planes = ours("scene.planes")
        self.assertTrue(planes.fit_to_size(plane, 80, 48))
        bpy.context.view_layer.update()
        self.assertEqual(len(plane.data.vertices), 25)
        # The image's width is along the plane's y.
        np.testing.assert_allclose(plane.dimensions, (3.6, 6.0, 0.0), atol=1e-5)
        places = ours("scene.plane_mesh").places(plane.data)
        np.testing.assert_allclose(places.mean(axis=0), (10.0, 0.0), atol=1e-5)
        # Every vertex stays where it is in the image.
        self.assertTrue(planes.fit_to_size(plane, 64, 64))
        bpy.context.view_layer.update()
        np.testing.assert_allclose(plane.dimensions, (6.0, 6.0, 0.0), atol=1e-5)

    def test_a_plane_with_vertices_in_another_order_gets_the_aspect_as_well(self) -> None:
        plane, planes = self.create(), ours("scene.planes")
        bpy.ops.mesh.primitive_plane_add(size=2.0)
        plane.data = bpy.context.object.data
        before = planes.uv_map(plane)
        np.testing.assert_allclose(before, [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5)], atol=1e-6)
        self.assertTrue(planes.fit_to_size(plane, 64, 128))
        np.testing.assert_allclose(
            planes.uv_map(plane), [(1.0, 0.0), (0.0, 0.5), (0.5, 0.5)], atol=1e-6
        )
        bpy.context.view_layer.update()
        np.testing.assert_allclose(plane.dimensions, (1.0, 2.0, 0.0), atol=1e-5)

    def test_a_plane_of_four_vertices_keeps_the_size_that_edit_mode_gave_it(self) -> None:
        plane, planes = self.create(), ours("scene.planes")
        bpy.context.view_layer.objects.active = plane
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.transform.resize(value=(2.0, 2.0, 1.0))
        self.assertTrue(planes.fit_to_size(plane, 64, 128))
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.context.view_layer.update()
        np.testing.assert_allclose(plane.dimensions, (2.0, 4.0, 0.0), atol=1e-5)
        self.assertTrue(planes.fit_to_size(plane, 64, 64))
        bpy.context.view_layer.update()
        np.testing.assert_allclose(plane.dimensions, (4.0, 4.0, 0.0), atol=1e-5)

    def test_a_plane_whose_uvs_are_not_flat_keeps_its_shape(self) -> None:
        plane = self.subdivided()
        plane.data.uv_layers.active.data[7].uv.x += 0.2
        self.assertFalse(ours("scene.planes").fit_to_size(plane, 80, 48))
        np.testing.assert_allclose(plane.dimensions, (6.0, 6.0, 0.0), atol=1e-5)

    def test_the_map_and_the_aspect_are_right_in_edit_mode(self) -> None:
        plane = self.create()
        planes = ours("scene.planes")
        bpy.context.view_layer.objects.active = plane
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.mesh.subdivide(number_cuts=1)
        bpy.ops.transform.resize(value=(2.0, 2.0, 1.0))
        uv = ours("scene.view").local_to_uv(planes.uv_map(plane), [(-2.0, -2.0), (2.0, 1.0)])
        np.testing.assert_allclose(uv, [(0.0, 0.0), (1.0, 0.75)], atol=1e-6)
        self.assertTrue(planes.fit_to_size(plane, 32, 64))
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.context.view_layer.update()
        self.assertEqual(len(plane.data.vertices), 9)
        np.testing.assert_allclose(plane.dimensions, (2.0, 4.0, 0.0), atol=1e-5)

    def test_the_material_has_standard_nodes_only(self) -> None:
        plane = self.create()
        tree = plane.active_material.node_tree
        self.assertEqual(
            sorted(node.bl_idname for node in tree.nodes),
            ["ShaderNodeEmission", "ShaderNodeOutputMaterial", "ShaderNodeTexImage"],
        )
        self.assertEqual(len(tree.links), 2)

    def test_points_are_read_in_pixels_whatever_the_plane_s_transform(self) -> None:
        plane = self.create(128, 64)
        ours("scene.points").add_pair(plane, (0.25, 0.75), (1.0, 0.0))
        plane.location = (3.0, -2.0, 5.0)
        plane.rotation_euler = (0.4, 1.1, -0.7)
        plane.scale = (2.0, 0.5, 3.0)
        (entry,) = self.placed(plane)
        np.testing.assert_allclose(entry.handle_px, (32.0, 16.0), atol=1e-3)
        np.testing.assert_allclose(entry.target_px, (128.0, 64.0), atol=1e-3)

    def test_a_file_with_dragged_pictures_opens_with_its_points_there(self) -> None:
        plane = self.create()
        target = ours("scene.points").add_pair(plane, (0.25, 0.75), (0.5, 0.5)).target
        target.empty_display_type, target.empty_display_size = "IMAGE", 0.2
        target.empty_image_offset = (0.5, -0.5)
        target.data = bpy.data.images.new("GAN Target Marker", 8, 8)
        path = str(self.folder / "older.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        (plane,) = ours("scene.planes").everywhere()
        target = plane.draggan.pairs[0].target
        self.assertEqual(tuple(target.empty_image_offset), (-0.5, -0.5))
        self.assertAlmostEqual(target.location.x, 0.2, places=6)
        self.assertNotEqual(target.empty_display_type, "IMAGE")
        self.assertIsNone(target.data)
        self.assertNotIn("GAN Target Marker", bpy.data.images)

    def test_other_image_empties_stay_as_they_are(self) -> None:
        plane = self.create()
        other = bpy.data.objects.new("Reference", None)
        other.empty_display_type, other.parent = "IMAGE", plane
        bpy.context.scene.collection.objects.link(other)
        other.empty_image_offset = (0.0, 0.0)
        ours("scene.points").modernise(plane)
        self.assertEqual(other.empty_display_type, "IMAGE")
        self.assertEqual(tuple(other.empty_image_offset), (0.0, 0.0))

    def test_points_are_read_through_cropped_and_rotated_uvs(self) -> None:
        plane = self.create()
        uv = plane.data.uv_layers.active.data
        # The plane shows the right half of the image, rotated by a quarter turn.
        uv.foreach_set("uv", [1.0, 0.0, 1.0, 1.0, 0.5, 1.0, 0.5, 0.0])
        pair = ours("scene.points").add_pair(plane, (0.75, 0.5), (0.9, 0.25))
        np.testing.assert_allclose(pair.handle.location, (0.0, 0.0, 0.0), atol=1e-6)
        (entry,) = self.placed(plane)
        np.testing.assert_allclose(entry.handle_px, (48.0, 32.0), atol=1e-3)
        np.testing.assert_allclose(entry.target_px, (57.6, 48.0), atol=1e-3)

    def test_a_point_is_held_on_the_plane(self) -> None:
        plane = self.create()
        pair = ours("scene.points").add_pair(plane, (0.5, 0.5), (0.6, 0.5))
        plane.rotation_euler = (0.9, 0.2, 0.3)
        pair.handle.location.z = 0.7
        bpy.context.view_layer.update()
        local = plane.matrix_world.inverted() @ pair.handle.matrix_world.translation
        self.assertAlmostEqual(local.z, 0.0, places=5)
        self.assertTrue(pair.handle.lock_location[2])

    def test_handle_and_target_look_different(self) -> None:
        plane = self.create()
        pair = ours("scene.points").add_pair(plane, (0.5, 0.5), (0.6, 0.5))
        self.assertTrue(pair.handle.name.startswith("Handle"))
        self.assertTrue(pair.target.name.startswith("Target"))
        self.assertNotEqual(pair.handle.empty_display_type, pair.target.empty_display_type)
        # Blender's gizmo for image empties would pull the picture off the place.
        self.assertNotIn("IMAGE", (pair.handle.empty_display_type, pair.target.empty_display_type))

    def test_an_image_takes_no_presses_where_it_is_seen_from_its_edge(self) -> None:
        plane, pointing = self.create(), ours("scene.pointing")
        pin = ours("scene.points").add_pin(plane, (0.5, 0.5))
        region: Any = SimpleNamespace(width=640, height=480)
        middle = (320.0, 240.0)
        # A scale of the plane does not change the angle at which it is seen.
        for scale in ((1.0, 1.0, 1.0), (2.0, 0.3, 8.0)):
            plane.scale = scale
            bpy.context.view_layer.update()
            for degrees in (90.0, 30.0, 4.0, -4.0, 2.0, 0.0, -2.0):
                region_3d = orthographic(degrees)
                place = pointing.place_at(plane, region, region_3d, middle)
                pressed = pointing.plane_at(bpy.context, region, region_3d, middle)
                held = pointing.point_at(bpy.context, region, region_3d, middle, 12.0)
                if abs(degrees) < 3.0:
                    self.assertEqual((place, pressed, held), (None, None, None), degrees)
                else:
                    np.testing.assert_allclose(place.uv, (0.5, 0.5), atol=1e-4)
                    self.assertEqual(pressed, plane)
                    self.assertEqual((held.plane, held.number), (plane, 0))
        self.assertTrue(pin.is_pin)

    def test_a_press_passes_over_points_of_another_image_and_takes_one_below(self) -> None:
        plane, pointing = self.create(), ours("scene.pointing")
        for v in (0.5, 0.5 + 1e-3):
            ours("scene.points").add_pair(plane, (0.5, v), (0.9, v))
        bpy.context.view_layer.update()
        region: Any = SimpleNamespace(width=640, height=480)
        view = region, orthographic(90.0), (320.0, 240.0), 12.0

        def held(*, passes_left: bool) -> int | None:
            found = pointing.point_at(bpy.context, *view, passes_left=passes_left)
            return None if found is None else found.number

        self.assertEqual(held(passes_left=True), 0)
        ours("scene.pair_images").leave(plane.draggan.pairs[0])
        self.assertEqual((held(passes_left=True), held(passes_left=False)), (1, 0))
        # One that was switched off by hand is held all the same.
        plane.draggan.pairs[1].enabled = False
        self.assertEqual(held(passes_left=True), 1)
        ours("scene.pair_images").use(plane)
        self.assertEqual(held(passes_left=True), 0)

    def test_a_constrained_target_is_read_where_the_constraint_puts_it(self) -> None:
        plane = self.create()
        pair = ours("scene.points").add_pair(plane, (0.25, 0.5), (0.5, 0.5))
        leader = bpy.data.objects.new("Leader", None)
        bpy.context.scene.collection.objects.link(leader)
        leader.location = (0.5, 0.25, 0.0)
        pair.target.constraints.new("COPY_LOCATION").target = leader
        (entry,) = self.placed(plane)
        np.testing.assert_allclose(entry.target_px, (48.0, 24.0), atol=1e-3)

    def test_what_cannot_be_dragged_is_refused_with_a_message(self) -> None:
        error = ours("errors").EditError
        plane = self.create()
        with self.assertRaisesRegex(error, "At least one enabled pair"):
            self.placed(plane)
        pair = ours("scene.points").add_pair(plane, (0.5, 0.5), (0.6, 0.5))
        pair.target.location.x = 1.2
        with self.assertRaisesRegex(error, "Target 001 is outside the image"):
            self.placed(plane)
        pair.target.location.x = math.nan
        with self.assertRaisesRegex(error, "Target 001 is outside the image"):
            self.placed(plane)
        pair.target.location.x = 0.2
        # Delete it as a person does: the pair still refers to it, so Blender keeps it.
        with bpy.context.temp_override(selected_objects=[pair.target]):
            bpy.ops.object.delete()
        with self.assertRaisesRegex(error, "deleted"):
            self.placed(plane)
        bpy.data.objects.remove(pair.handle)
        with self.assertRaisesRegex(error, "deleted"):
            self.placed(plane)
        plane.draggan.latent = ""
        with self.assertRaisesRegex(error, "no image yet"):
            ours("jobs.drag").start_drag(bpy.context, plane)

    def test_a_plane_that_is_not_flat_is_refused(self) -> None:
        plane = self.create()
        ours("scene.points").add_pair(plane, (0.5, 0.5), (0.6, 0.5))
        plane.data.uv_layers.active.data[2].uv = (0.2, 0.3)
        with self.assertRaisesRegex(ours("errors").EditError, "not flat"):
            self.placed(plane)

    def test_paths_are_keyed_on_every_frame_and_move_the_handle(self) -> None:
        plane = self.create()
        points = ours("scene.handle_paths")
        ours("scene.points").add_pair(plane, (0.5, 0.5), (0.6, 0.5))
        points.begin([entry.pair for entry in self.placed(plane)], plane)
        handle = plane.draggan.pairs[0].handle
        points.write_paths(plane, 5, [[(32.0, 32.0)], [(40.0, 16.0)], [(48.0, 32.0)]])
        for frame, expected in ((5, (0.0, 0.0)), (6, (0.25, 0.5)), (7, (0.5, 0.0)), (9, (0.5, 0))):
            bpy.context.scene.frame_set(frame)
            np.testing.assert_allclose(handle.matrix_world.translation[:2], expected, atol=1e-5)
        # A second drag replaces the keys of the first.
        points.write_paths(plane, 7, [[(48.0, 32.0)], [(0.0, 0.0)]])
        bpy.context.scene.frame_set(5)
        np.testing.assert_allclose(handle.matrix_world.translation[:2], (0.5, 0.0), atol=1e-5)
        actions = len(bpy.data.actions)
        points.clear_paths(plane)
        self.assertEqual(len(bpy.data.actions), actions - 1)

    def test_a_duplicated_plane_becomes_an_independent_image(self) -> None:
        plane = self.create()
        ours("scene.points").add_pair(plane, (0.5, 0.5), (0.6, 0.5))
        twin = plane.copy()
        bpy.context.scene.collection.objects.link(twin)
        self.assertEqual(twin.draggan.uuid, plane.draggan.uuid)
        before = plane.draggan.uuid
        ours("jobs.watching").look()
        self.assertEqual(plane.draggan.uuid, before)
        self.assertNotEqual(twin.draggan.uuid, before)
        self.assertNotEqual(twin.active_material, plane.active_material)
        self.assertNotEqual(twin.data, plane.data)
        (own,), (original,) = twin.draggan.pairs, plane.draggan.pairs
        self.assertEqual((own.handle.parent, own.target.parent), (twin, twin))
        self.assertEqual((original.handle.parent, original.target.parent), (plane, plane))
        self.assertEqual(own.handle.location, original.handle.location)

    def test_a_duplicate_has_masks_of_its_own(self) -> None:
        plane, masks = self.create(), ours("scene.mask_images")
        plane.draggan.size = (8, 8)
        mask = masks.create(plane)
        row = plane.draggan.edits.add()
        row.image = mask
        other = bpy.data.objects.new("Cup", bpy.data.meshes.new("Cup"))
        ours("scene.material_use").plug_in(plane, other, "Base Color")
        # As after a stroke: these pixels are in no file, and not in the .blend.
        masks.show(mask, np.full((8, 8), 0.5, np.float32))
        twin = plane.copy()
        bpy.context.scene.collection.objects.link(twin)
        ours("jobs.watching").look()

        own = twin.draggan.mask
        self.assertNotEqual(own, mask)
        self.assertEqual((twin.draggan.edits[0].image, plane.draggan.edits[0].image), (own, mask))
        self.assertEqual(own.colorspace_settings.name, "Non-Color")
        np.testing.assert_allclose(masks.levels(own), 0.5, atol=0.01)
        masks.write(twin, np.zeros((8, 8), np.float32), masks.levels(own))
        np.testing.assert_allclose(masks.levels(mask), 0.5, atol=0.01)
        # The cup shows the original only.
        self.assertEqual((len(twin.draggan.uses), len(plane.draggan.uses)), (0, 1))

    def test_a_duplicate_that_an_undo_brings_back_becomes_independent_again(self) -> None:
        plane, watching = self.create(), ours("jobs.watching")
        bpy.ops.ed.undo_push(message="Plane")
        bpy.ops.object.select_all(action="DESELECT")
        plane.select_set(True)
        bpy.context.view_layer.objects.active = plane
        bpy.ops.object.duplicate()
        bpy.ops.ed.undo_push(message="Duplicate")
        watching._on_timer()
        bpy.context.object.location.x = 3.0
        bpy.ops.ed.undo_push(message="Move")
        for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo):
            step()
            watching._on_timer()
            uuids = [found.draggan.uuid for found in ours("scene.planes").everywhere()]
            self.assertEqual(len(set(uuids)), len(uuids))
        self.assertEqual(len(uuids), 2)

    def test_resetting_a_duplicate_does_not_change_its_original(self) -> None:
        plane, images = self.create(), ours("scene.images")
        names = ("Still", "Sequence")
        still, moved = (bpy.data.images.new(name, 8, 8) for name in names)
        plane.draggan.still, plane.draggan.sequence.image = still, moved
        images.show_rest(plane)
        twin = plane.copy()
        bpy.context.scene.collection.objects.link(twin)
        ours("jobs.drag").reset(twin)
        texture_node = ours("scene.planes").texture_node
        self.assertEqual(texture_node(twin).image, still)
        self.assertEqual(texture_node(plane).image, moved)

    def test_removing_a_pair_removes_its_empties(self) -> None:
        plane = self.create()
        ours("scene.points").add_pair(plane, (0.5, 0.5), (0.6, 0.5))
        ours("scene.points").add_pair(plane, (0.5, 0.3), (0.6, 0.3))
        self.assertEqual(len(plane.children), 4)
        ours("scene.points").remove_pair(plane, 0)
        self.assertEqual(len(plane.children), 2)
        self.assertEqual(plane.draggan.pairs[0].handle.name, "Handle 002")


class FindTest(SceneCase):
    """A plane is found by its uuid, whatever happened since it was last found."""

    def setUp(self) -> None:
        super().setUp()
        self.planes = ours("scene.planes")
        self.plane = self.planes.create(bpy.context)
        self.uuid = self.plane.draggan.uuid
        self.assertEqual(self.planes.find(self.uuid), self.plane)

    def test_a_plane_that_was_found_before_is_found_by_its_name(self) -> None:
        with mock.patch.object(self.planes, "everywhere", side_effect=AssertionError):
            self.assertEqual(self.planes.find(self.uuid), self.plane)

    def test_a_renamed_plane_is_found_although_another_has_its_name(self) -> None:
        self.plane.name = "Renamed"
        other = self.planes.create(bpy.context)
        self.assertEqual(other.name, self.planes.NAME)
        self.assertEqual(self.planes.find(self.uuid), self.plane)
        self.plane.draggan.uuid = "another"
        self.assertIsNone(self.planes.find(self.uuid))
        self.assertEqual(self.planes.find("another"), self.plane)

    def test_a_plane_is_found_again_after_an_undo_and_not_in_another_file(self) -> None:
        bpy.ops.ed.undo_push(message="Plane")
        self.planes.remove(self.plane)
        self.assertIsNone(self.planes.find(self.uuid))
        bpy.ops.ed.undo_push(message="Removed")
        bpy.ops.ed.undo()
        found = self.planes.find(self.uuid)
        self.assertEqual((found.name, found.draggan.uuid), (self.planes.NAME, self.uuid))
        bpy.ops.ed.undo()
        self.assertIsNone(self.planes.find(self.uuid))
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        self.assertIsNone(self.planes.find(self.uuid))

    def test_looking_at_other_objects_does_not_change_them(self) -> None:
        other = bpy.data.objects.new("Other", bpy.data.meshes.new("Other"))
        self.assertEqual(self.planes.everywhere(), [self.plane])
        self.assertIsNone(self.planes.find("nobody"))
        self.assertFalse(other.is_property_set("draggan"))
