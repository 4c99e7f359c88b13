# SPDX-License-Identifier: GPL-3.0-or-later
"""The image is textured in a window that opens later, and what a person chose stays."""

from __future__ import annotations

from typing import Any

import bpy
from support import SceneCase, ours


class NewWindowsTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        # An empty file keeps the windows that Blender's startup file has.
        bpy.ops.wm.read_homefile(use_factory_startup=True)
        self.module = ours("ui.new_windows")
        screen = bpy.context.window_manager.windows[0].screen
        (area,) = [area for area in screen.areas if area.type == "VIEW_3D"]
        self.shading: Any = area.spaces.active.shading
        self.shading.type, self.shading.color_type = "SOLID", "MATERIAL"

    def open_window(self) -> None:
        """Make the window a new one: without a display, Blender opens no other."""
        self.module.look()
        self.module._known.clear()

    def look(self) -> str:
        self.module.look()
        return str(self.shading.color_type)

    def test_a_new_window_shows_the_image_once_and_a_later_choice_stays(self) -> None:
        ours("scene.planes").create(bpy.context)
        self.open_window()
        self.assertEqual(self.look(), "TEXTURE")
        self.shading.color_type = "MATERIAL"
        self.assertEqual(self.look(), "MATERIAL")

    def test_a_new_window_keeps_other_colours_and_other_shading(self) -> None:
        ours("scene.planes").create(bpy.context)
        self.shading.color_type = "RANDOM"
        self.open_window()
        self.assertEqual(self.look(), "RANDOM")
        self.shading.color_type, self.shading.type = "MATERIAL", "WIREFRAME"
        self.open_window()
        self.module.look()
        self.shading.type = "SOLID"
        self.assertEqual(self.shading.color_type, "MATERIAL")

    def test_a_new_window_without_an_image_stays_as_it_is(self) -> None:
        self.open_window()
        self.assertEqual(self.look(), "MATERIAL")

    def test_the_windows_of_a_file_are_not_new(self) -> None:
        ours("scene.planes").create(bpy.context)
        path = str(self.folder / "grey.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        self.open_window()
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=True)
        self.module.look()
        screen = bpy.context.window_manager.windows[0].screen
        (area,) = [area for area in screen.areas if area.type == "VIEW_3D"]
        self.assertEqual(area.spaces.active.shading.color_type, "MATERIAL")
