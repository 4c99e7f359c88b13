# SPDX-License-Identifier: GPL-3.0-or-later
"""In a local view of an image, its points are shown with it."""

from __future__ import annotations

import bpy
from support import SceneCase, ours


class LocalViewTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        # An empty file keeps the windows that Blender's startup file has.
        bpy.ops.wm.read_homefile(use_factory_startup=True)
        self.use_fake_engine()
        self.plane = self.new_plane()
        self.pair = self.add_pair(self.plane)
        self.window = bpy.context.window_manager.windows[0]
        self.area = next(area for area in self.window.screen.areas if area.type == "VIEW_3D")
        self.space = self.area.spaces.active

    def enter(self, *shown: bpy.types.Object) -> None:
        """Show objects in a local view, as numpad / does for those that are selected."""
        for item in bpy.context.view_layer.objects:
            item.select_set(item in shown)
        region = next(region for region in self.area.regions if region.type == "WINDOW")
        with bpy.context.temp_override(window=self.window, area=self.area, region=region):
            bpy.ops.view3d.localview(frame_selected=False)
        self.assertIsNotNone(self.space.local_view)
        bpy.context.view_layer.update()

    def is_seen(self, item: bpy.types.Object) -> bool:
        bpy.context.view_layer.update()
        return bool(item.visible_get(viewport=self.space))

    def test_the_points_of_an_image_are_shown_with_it_and_nothing_else(self) -> None:
        self.enter(self.plane)
        self.assertFalse(self.is_seen(self.pair.handle))
        ours("scene.local_view").show_points()
        self.assertTrue(self.is_seen(self.pair.handle))
        self.assertTrue(self.is_seen(self.pair.target))
        self.assertFalse(self.is_seen(bpy.data.objects["Cube"]))

    def test_a_new_pair_is_shown_as_well(self) -> None:
        self.enter(self.plane)
        ours("scene.local_view").show_points()
        other = self.add_pair(self.plane)
        ours("scene.local_view").show_points()
        self.assertTrue(self.is_seen(other.handle))

    def test_a_point_that_is_hidden_everywhere_stays_hidden(self) -> None:
        self.pair.target.hide_set(True)
        self.enter(self.plane)
        ours("scene.local_view").show_points()
        self.assertTrue(self.is_seen(self.pair.handle))
        self.assertFalse(self.is_seen(self.pair.target))

    def test_a_local_view_without_the_image_does_not_get_its_points(self) -> None:
        self.enter(bpy.data.objects["Cube"])
        ours("scene.local_view").show_points()
        self.assertFalse(self.is_seen(self.plane))
        self.assertFalse(self.is_seen(self.pair.handle))

    def test_without_a_local_view_nothing_changes(self) -> None:
        ours("scene.local_view").show_points()
        self.assertIsNone(self.space.local_view)
        self.assertTrue(self.is_seen(self.pair.handle))
