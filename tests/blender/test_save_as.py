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

    def owners(self) -> dict[str, tuple[Any, str]]:
        """Return where the other paths of models and weights are, by the files that they name."""
        (plane,) = ours("scene.planes").everywhere()
        settings, scene = plane.draggan, bpy.context.scene
        state = settings.history.states[0]
        return {
            "state.pkl": (state, "model_path"),
            "untuned.pkl": (settings.own, "untuned_path"),
            "models/m.pkl": (settings.own, "tuned_path"),
            "earlier.pkl": (state.own, "untuned_path"),
            "tuned.pkl": (state.own, "tuned_path"),
            "next.pkl": (scene.draggan.source, "path"),
            "vgg.pth": (settings.own, "loss_path"),
        }

    def store_models(self) -> None:
        """Store them, relative to the file, and save it."""
        settings, scene = self.plane.draggan, bpy.context.scene
        settings.history.states[0].model_kind = "FILE"
        settings.own.untuned_kind = settings.history.states[0].own.untuned_kind = "FILE"
        # Kept for the next time that the person chooses a file.
        scene.draggan.source.kind = "BUILT_IN"
        for name, (owner, attribute) in self.owners().items():
            setattr(owner, attribute, f"//{name}")
        bpy.ops.wm.save_mainfile()

    def stored(self) -> dict[str, str]:
        return {name: getattr(*place) for name, place in self.owners().items()}

    def all_meant(self) -> dict[str, Path]:
        found = self.stored().items()
        return {name: Path(bpy.path.abspath(path)).resolve() for name, path in found}

    def base(self) -> Path:
        return (self.folder / "a").resolve()

    def expected(self) -> tuple[Path, Path]:
        base = self.base()
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

    def test_models_of_states_pictures_and_the_scene_follow(self) -> None:
        self.store_models()
        before = self.stored()
        for name, copy in (("b/copy.blend", True), ("b/deeper/two.blend", False)):
            bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / name), copy=copy)
            if copy:
                self.assertEqual(self.stored(), before)
                bpy.ops.wm.open_mainfile(filepath=str(self.folder / name))
                self.assertEqual(self.all_meant(), {name: self.base() / name for name in before})
                bpy.ops.wm.open_mainfile(filepath=str(self.folder / "a" / "one.blend"))
        self.assertEqual(self.all_meant(), {name: self.base() / name for name in before})
        (self.plane,) = ours("scene.planes").everywhere()
        self.assertTrue(ours("scene.models").is_tuned(self.plane))

    def test_absolute_paths_stay(self) -> None:
        path = str(self.folder / "a" / "models" / "m.pkl")
        self.plane.draggan.source.path = path
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "b" / "three.blend"))
        self.assertEqual(self.plane.draggan.source.path, path)
