# SPDX-License-Identifier: GPL-3.0-or-later
"""Enabling and disabling leaves nothing behind."""

from __future__ import annotations

import os
import unittest

import bpy
import support


def _traces() -> dict[str, object]:
    """What of the extension can be seen in Blender."""
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
        "timer": bpy.app.timers.is_registered(support.ours("connection.pump")._on_timer),
        "keys": len(support.ours("ui.keymaps")._items),
        "commands": len(support.ours("cli")._registered),
    }


class RegistrationTest(unittest.TestCase):
    def test_three_times_on_and_off_leaves_nothing(self) -> None:
        enabled = _traces()
        self.assertTrue(enabled["timer"])
        self.assertEqual(len(enabled["handlers"]), 11)
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
                    "keys": 0,
                    "commands": 0,
                },
            )
            support.enable()
            self.assertEqual(_traces(), enabled)

    @unittest.skipUnless(os.name == "posix", "asks the system for a process as POSIX has it")
    def test_disabling_ends_the_engine(self) -> None:
        pump = support.ours("connection.pump")
        self.assertEqual(bpy.ops.draggan.engine_start(), {"FINISHED"})
        pid = pump.engine_pid()
        self.assertTrue(support.is_running(pid))
        support.disable()
        self.assertFalse(support.is_running(pid))
        support.enable()
