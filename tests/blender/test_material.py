# SPDX-License-Identifier: GPL-3.0-or-later
"""The image in other materials, and its colours under a view transform."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import rendering
from support import SceneCase, ours


class MaterialTest(SceneCase):
    def scene(self) -> tuple[Any, Any]:
        """Make a cube and a GAN image, both selected; return the image's plane and the cube."""
        self.use_fake_engine()
        plane = self.new_plane()
        bpy.ops.mesh.primitive_cube_add(location=(5.0, 0.0, 0.0))
        cube = bpy.context.object
        plane.select_set(True)
        return plane, cube

    def source(self, cube: Any, name: str) -> Any:
        """Return the node that is plugged into a socket of the cube's shader."""
        material = cube.active_material
        shader = material.node_tree.get_output_node("ALL").inputs["Surface"].links[0].from_node
        (link,) = shader.inputs[name].links
        return link.from_node

    def use(self, socket: str) -> None:
        self.assertEqual(bpy.ops.draggan.use_in_material(socket=socket), {"FINISHED"})

    def test_an_image_is_plugged_into_the_chosen_socket_of_a_new_material(self) -> None:
        plane, cube = self.scene()
        self.use("Base Color")
        node = self.source(cube, "Base Color")
        self.assertEqual(node.image, plane.draggan.still)
        self.use("Base Color")
        self.assertEqual(self.source(cube, "Base Color"), node)
        self.assertEqual(len(plane.draggan.uses), 1)

    def test_only_a_socket_that_was_not_chosen_in_the_menu_is_asked_for(self) -> None:
        # Without a window, Blender calls no ``invoke``: so stand-ins are for operator and context.
        asked: list[Any] = []
        manager = SimpleNamespace(invoke_search_popup=asked.append)
        for is_chosen, ending in ((True, {"FINISHED"}), (False, {"INTERFACE"})):
            operator = SimpleNamespace(
                properties=SimpleNamespace(is_property_set=lambda _name, is_set=is_chosen: is_set),
                execute=lambda _context: {"FINISHED"},
            )
            invoke = ours("ui.operators.material").DRAGGAN_OT_use_in_material.invoke
            self.assertEqual(
                invoke(operator, SimpleNamespace(window_manager=manager), None), ending
            )
            self.assertEqual(asked, [] if is_chosen else [operator])

    def test_numbers_are_read_without_a_colour_space_and_colours_with_one(self) -> None:
        plane, cube = self.scene()
        for socket in ("Base Color", "Roughness", "Alpha"):
            self.use(socket)
        colour, rough = self.source(cube, "Base Color"), self.source(cube, "Roughness")
        self.assertEqual(self.source(cube, "Alpha"), rough)
        self.assertEqual(colour.image.colorspace_settings.name, "sRGB")
        self.assertEqual(rough.image.colorspace_settings.name, "Non-Color")
        self.assertEqual(plane.draggan.still.colorspace_settings.name, "sRGB")

    def test_the_material_follows_a_drag_and_its_undo(self) -> None:
        plane, cube = self.scene()
        for socket in ("Base Color", "Roughness"):
            self.use(socket)
        self.add_pair(plane)
        bpy.ops.ed.undo_push(message="Prepared")
        name = cube.name
        self.drag(plane)
        shown = [self.source(cube, socket) for socket in ("Base Color", "Roughness")]
        mapping = {(n.image_user.frame_start, n.image_user.frame_duration) for n in shown}
        sequence = plane.draggan.sequence
        self.assertEqual(mapping, {(sequence.first_frame, sequence.frame_count)})
        self.assertEqual(shown[0].image, sequence.image)
        self.assertEqual(shown[1].image.source, "SEQUENCE")
        # Each of the replaced images is gone, but the still.
        self.assertEqual(len([one for one in bpy.data.images if one.get("draggan_copy")]), 1)
        bpy.ops.ed.undo()
        cube = bpy.data.objects[name]
        self.assertEqual(self.source(cube, "Roughness").image.source, "FILE")

    def test_a_live_image_is_seen_in_materials_too(self) -> None:
        plane, cube = self.scene()
        for socket in ("Base Color", "Roughness"):
            self.use(socket)
        images = ours("scene.images")
        pixels = np.full((8, 8, 4), 0.5, dtype=np.float32).tobytes()
        plane.draggan.previewing = True
        images.show_preview(plane, 8, 8, pixels)
        live, rough = (self.source(cube, name).image for name in ("Base Color", "Roughness"))
        self.assertEqual(ours("scene.planes").texture_node(plane).image, live)
        self.assertNotEqual(live, rough)
        for image in (live, rough):
            self.assertAlmostEqual(image.pixels[0], 0.5, places=2)
        ours("jobs.recovery").settle(plane)
        self.assertFalse([one for one in bpy.data.images if one.name.startswith(".")])
        self.assertEqual(self.source(cube, "Base Color").image, plane.draggan.still)

    def test_an_image_is_removed_from_a_material(self) -> None:
        plane, cube = self.scene()
        self.use("Base Color")
        self.assertEqual(bpy.ops.draggan.remove_from_material(), {"FINISHED"})
        types = {node.type for node in cube.active_material.node_tree.nodes}
        self.assertNotIn("TEX_IMAGE", types)
        self.assertEqual(len(plane.draggan.uses), 0)

    def test_without_another_object_the_button_says_what_to_select(self) -> None:
        self.use_fake_engine()
        plane = self.new_plane()
        bpy.context.view_layer.objects.active = plane
        with self.assertRaisesRegex(RuntimeError, "Select the object"):
            bpy.ops.draggan.use_in_material(socket="Base Color")


class ColourTest(SceneCase):
    def test_a_render_has_the_image_s_colours_under_agx_and_filmic(self) -> None:
        plane = self.new_plane(150)
        rendering.look_at(plane)
        view = bpy.context.scene.view_settings
        own = rendering.render(1, self.folder / "own.png")
        bpy.context.view_layer.objects.active = plane
        for transform in ("AgX", "Filmic"):
            view.view_transform = transform
            changed = rendering.render(1, self.folder / "changed.png")
            self.assertGreater(np.abs(changed - own).mean(), 10.0)
            self.assertEqual(bpy.ops.draggan.keep_colours(), {"FINISHED"})
            kept = np.abs(rendering.render(1, self.folder / "kept.png") - own)
            self.assertLess(kept.mean(), 1.0, transform)
            self.assertLess(np.percentile(kept, 99), 4.0, transform)
            self.assertEqual(bpy.ops.draggan.keep_colours(), {"FINISHED"})

    def test_colours_can_be_kept_only_where_the_view_transform_can_be_undone(self) -> None:
        self.use_fake_engine()
        plane = self.new_plane()
        bpy.context.view_layer.objects.active = plane
        view = bpy.context.scene.view_settings
        for transform, text in (("Standard", "already"), ("False Color", "choose AgX")):
            view.view_transform = transform
            with self.assertRaisesRegex(RuntimeError, text):
                bpy.ops.draggan.keep_colours()
        view.view_transform = "AgX"
        bpy.ops.draggan.keep_colours()
        self.assertEqual(plane.draggan.still.colorspace_settings.name, "AgX Base sRGB")
        view.view_transform = "Filmic"
        ours("ui.view_transform")._follow()
        self.assertEqual(plane.draggan.still.colorspace_settings.name, "Filmic sRGB")

    def test_a_copy_keeps_its_colours_and_the_original_does_not_change(self) -> None:
        self.use_fake_engine()
        plane = self.new_plane()
        bpy.context.scene.view_settings.view_transform = "AgX"
        copy = ours("scene.copies").duplicate(bpy.context, plane)
        bpy.context.view_layer.objects.active = copy
        bpy.ops.draggan.keep_colours()
        node = ours("scene.planes").texture_node
        spaces = [node(found).image.colorspace_settings.name for found in (plane, copy)]
        self.assertEqual(spaces, ["sRGB", "AgX Base sRGB"])
        self.assertEqual(node(copy).image, copy.draggan.still)
        self.assertTrue(copy.draggan.still.packed_file)
        count = len(bpy.data.images)
        bpy.ops.draggan.keep_colours()
        self.assertEqual(node(copy).image.colorspace_settings.name, "sRGB")
        self.assertEqual(len(bpy.data.images), count)
