# SPDX-License-Identifier: GPL-3.0-or-later
"""Relative paths of models and folders name the same things after the .blend is saved elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from support import SceneCase, ours


class SaveAsTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine()
        self.plane: Any = self.new_plane()
        for name in ("a/models", "b/deeper"):
            (self.folder / name).mkdir(parents=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "a" / "one.blend"))
        source = self.plane.draggan.source
        source.kind, source.path = "FILE", "//models/m.pkl"
        self.plane.draggan.folder = "//results"

    def meant(self) -> tuple[Path, Path]:
        """Return what the two paths mean in the open file."""
        model = ours("scene.models").model_path(self.plane.draggan.source)
        folder = bpy.path.abspath(self.plane.draggan.folder)
        return Path(model).resolve(), Path(folder).resolve()

    def expected(self) -> tuple[Path, Path]:
        base = (self.folder / "a").resolve()
        return base / "models" / "m.pkl", base / "results"

    def test_in_another_folder(self) -> None:
        self.assertEqual(self.meant(), self.expected())
        target = self.folder / "b" / "deeper" / "two.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(target))
        self.assertEqual(self.meant(), self.expected())
        self.assertTrue(self.plane.draggan.source.path.startswith("//"))
        bpy.ops.wm.open_mainfile(filepath=str(target))
        self.plane = ours("scene.planes").everywhere()[0]
        self.assertEqual(self.meant(), self.expected())

    def test_a_copy_elsewhere_does_not_change_the_open_file(self) -> None:
        target = self.folder / "b" / "copy.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(target), copy=True)
        self.assertEqual(self.plane.draggan.source.path, "//models/m.pkl")
        self.assertEqual(self.meant(), self.expected())
        bpy.ops.wm.open_mainfile(filepath=str(target))
        self.plane = ours("scene.planes").everywhere()[0]
        self.assertEqual(self.meant(), self.expected())

    def test_absolute_paths_stay(self) -> None:
        path = str(self.folder / "a" / "models" / "m.pkl")
        self.plane.draggan.source.path = path
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "b" / "three.blend"))
        self.assertEqual(self.plane.draggan.source.path, path)
