# SPDX-License-Identifier: GPL-3.0-or-later
"""Disabling the extension removes all of it, and all that the interface shows is described."""

from __future__ import annotations

import ast
import os
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import support


def _traces() -> dict[str, object]:
    """Return what Blender shows of the extension: handlers, classes, operators and more."""
    handlers = {
        name: sum(
            getattr(handler, "__module__", "").startswith(support.EXTENSION) for handler in found
        )
        for name in dir(bpy.app.handlers)
        if isinstance(found := getattr(bpy.app.handlers, name), list)
    }
    groups = bpy.types.PropertyGroup.__subclasses__()
    return {
        "handlers": {name: count for name, count in handlers.items() if count},
        "classes": sorted(name for name in dir(bpy.types) if name.startswith("DRAGGAN_")),
        "groups": sum(
            group.__name__.startswith("DRAGGAN_") and group.is_registered
            for group in groups
            if hasattr(group, "is_registered")
        ),
        "operators": sorted(name for name in dir(bpy.ops.draggan) if not name.startswith("_")),
        "object": hasattr(bpy.types.Object, "draggan"),
        "scene": hasattr(bpy.types.Scene, "draggan"),
        "timer": any(
            bpy.app.timers.is_registered(getattr(support.ours(name), function))
            for name, function in (
                ("connection.pump", "_on_timer"),
                ("ui.mask_watch", "_on_timer"),
                ("jobs.watching", "_on_timer"),
                ("jobs.missing_images", "_on_timer"),
                ("timeline.following", "_on_timer"),
                ("jobs.explore", "look"),
                ("jobs.explore", "_undo_again"),
                ("jobs.explore", "_redo_again"),
            )
        ),
        "tint": support.ours("ui.mask_tint")._handle is not None,
        "keys": len(support.ours("ui.keymaps")._items),
        "commands": len(support.ours("cli")._registered),
    }


def _operators() -> list[Any]:
    """Return the types of our operators."""
    names = [name for name in dir(bpy.ops.draggan) if not name.startswith("_")]
    return [getattr(bpy.ops.draggan, name).get_rna_type() for name in names]


def _own(group: type[Any]) -> Iterator[Any]:
    """Yield the properties that a class defines itself."""
    for name in group.__annotations__:
        found = group.bl_rna.properties.get(name)
        if found is not None:
            yield found


def _drawn_names() -> set[str]:
    """Return the names of the properties that the panels draw, as their source says."""
    calls = [
        node
        for path in Path(support.ours("ui.panels").__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    names = [
        call.args[1]
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("prop", "template_ID")
    ]
    return {str(name.value) for name in names if isinstance(name, ast.Constant)}


def _described() -> Iterator[tuple[str, str]]:
    """Yield all that the interface shows a tooltip for, as (where, description)."""
    for operator in _operators():
        yield operator.identifier, operator.description
        for item in operator.properties:
            if item.identifier != "rna_type" and not item.is_hidden:
                yield from _texts(operator.identifier, item)
    image, drag = support.ours("properties.image"), support.ours("properties.drag")
    groups = [*image.CLASSES, *support.ours("export.farm_properties").CLASSES]
    drawn = _drawn_names()
    for group in groups:
        for item in _own(group):
            has_label = item.name != item.identifier  # a group that is not drawn may share a name
            if has_label and (item.identifier in drawn or group is drag.DRAGGAN_PG_drag):
                yield from _texts(group.__name__, item)
    for item in _own(support.ours("preferences").DRAGGAN_preferences):
        yield from _texts("preferences", item)


def _texts(owner: str, item: Any) -> Iterator[tuple[str, str]]:
    """Yield the description of a property and of the choices that it offers."""
    where = f"{owner}.{item.identifier}"
    yield where, item.description
    if item.type == "ENUM":
        for choice in item.enum_items:
            yield f"{where}={choice.identifier}", choice.description


class DescriptionTest(unittest.TestCase):
    def test_everything_that_the_interface_shows_has_a_tooltip(self) -> None:
        found = dict(_described())
        for where in (
            "DRAGGAN_OT_new_image.seed",
            "DRAGGAN_OT_export_frames.file_format=PNG",
            "DRAGGAN_PG_source.seed",
            "DRAGGAN_PG_drag.method",
            "DRAGGAN_PG_image.mask",
            "DRAGGAN_PG_farm.base",
            "preferences.device",
        ):
            self.assertIn(where, found)
        self.assertEqual([where for where, text in found.items() if not text], [])
        # Blender adds the full stop itself, and shows a line break and the indentation as they are.
        wrong = [
            where
            for where, text in found.items()
            if text.endswith(".") or "\n" in text or not text[0].isalnum()
        ]
        self.assertEqual(wrong, [])


class RegistrationTest(unittest.TestCase):
    def test_three_times_on_and_off_leaves_nothing(self) -> None:
        enabled = _traces()
        self.assertTrue(enabled["timer"])
        self.assertTrue(enabled["tint"])
        self.assertEqual(len(enabled["handlers"]), 12)
        self.assertGreater(len(enabled["operators"]), 10)
        for _ in range(3):
            support.disable()
            self.assertEqual(
                _traces(),
                {
                    "handlers": {},
                    "classes": [],
                    "groups": 0,
                    "operators": [],
                    "object": False,
                    "scene": False,
                    "timer": False,
                    "tint": False,
                    "keys": 0,
                    "commands": 0,
                },
            )
            support.enable()
            self.assertEqual(_traces(), enabled)

    @unittest.skipUnless(os.name == "posix", "needs POSIX process ids")
    def test_uninstalling_ends_all_processes_and_removes_what_was_installed(self) -> None:
        pump, installation = support.ours("connection.pump"), support.ours("jobs.installation")
        user = Path(support.ours("preferences").user_folder())
        sentence = support.ours("ui.panels.installation").place_sentence()
        self.assertIn(str(installation.places().engine), sentence)
        self.addCleanup(support.install, support.archive, support.model)
        self.assertEqual(bpy.ops.draggan.engine_start(), {"FINISHED"})
        installation.start("check", python=str(user / "python"))
        pids = [pump.engine_pid(), installation._child.pid]
        self.assertTrue(support.is_running(pids[0]))
        (user / "engine" / "env").mkdir(parents=True, exist_ok=True)
        directory = next(
            repository.directory
            for repository in bpy.context.preferences.extensions.repos
            if repository.module == "user_default"
        )
        bpy.ops.extensions.package_uninstall(
            repo_directory=directory, pkg_id=support.EXTENSION.rpartition(".")[2]
        )
        self.assertEqual([pid for pid in pids if support.is_running(pid)], [])
        self.assertNotIn(support.EXTENSION, bpy.context.preferences.addons)
        self.assertFalse(user.exists())

    @unittest.skipUnless(os.name == "posix", "needs POSIX process ids")
    def test_disabling_ends_the_engine(self) -> None:
        pump = support.ours("connection.pump")
        self.assertEqual(bpy.ops.draggan.engine_start(), {"FINISHED"})
        pid = pump.engine_pid()
        self.assertTrue(support.is_running(pid))
        support.disable()
        self.assertFalse(support.is_running(pid))
        support.enable()
