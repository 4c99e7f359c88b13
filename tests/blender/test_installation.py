# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's installation in Blender: when it may start, what is shown, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

import bpy
from support import SceneCase, ours


class InstallationTest(SceneCase):
    def setUp(self) -> None:
        """Use an empty user folder, and no Python of a person's own."""
        super().setUp()
        self.installation = ours("jobs.installation")
        self.user = self.folder / "user"
        self.user.mkdir()
        self.patch(ours("preferences"), "user_folder", lambda: self.user)
        environment = mock.patch.dict(os.environ)
        environment.start()
        self.addCleanup(environment.stop)
        del os.environ["DRAGGAN_ENGINE_PYTHON"]
        self.installation.unregister()
        self.installation.register()

    def patch(self, module: Any, name: str, value: Any) -> None:
        patch = mock.patch.object(module, name, value)
        patch.start()
        self.addCleanup(patch.stop)

    def cli(self, *arguments: str) -> tuple[int, str, str]:
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = ours("cli").run(["install", *arguments])
        return code, out.getvalue(), errors.getvalue()

    def test_without_online_access_it_says_how_to_allow_it(self) -> None:
        self.assertFalse(bpy.app.online_access)
        with self.assertRaisesRegex(RuntimeError, "Allow Online Access"):
            bpy.ops.draggan.install_engine()
        self.assertFalse(self.installation.is_running())
        code, _, errors = self.cli()
        self.assertEqual(code, 1)
        self.assertIn("--online-mode", errors)
        self.assertEqual(list(self.user.iterdir()), [])

    def test_without_an_engine_a_drag_names_the_button(self) -> None:
        pump = ours("connection.pump")
        pump.configure(ours("preferences").engine_settings)
        pump.start()
        self.assertIn("press Install Engine", pump.state().error)

    def test_a_bundle_that_is_none_fails_in_the_child_and_is_shown(self) -> None:
        installation = self.installation
        installation.start("install", bundle=str(self.folder))
        self.assertTrue(installation.is_running())
        with self.assertRaisesRegex(ours("errors").EditError, "running already"):
            installation.start("install")
        ended = installation.wait(60.0)
        self.assertEqual((ended.phase, ended.kind), ("failed", "no_bundle"))
        self.assertIn("is not a bundle of the engine", ended.text)
        self.assertIsNotNone(installation.log_path())
        report = installation.report()
        self.assertIn("Blender: ", report)
        self.assertIn("no_bundle", report)

    def test_starting_returns_at_once_and_unregistering_ends_the_child(self) -> None:
        installation = self.installation
        started_s = time.monotonic()
        installation.start("check", python=str(self.folder / "python"))
        self.assertLess(time.monotonic() - started_s, 1.0)
        pid = installation._child.pid
        installation.unregister()
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)
        installation.register()

    def test_the_command_prints_sizes_and_a_report_and_refuses_what_there_is_not(self) -> None:
        code, out, _ = self.cli("--sizes", "--json")
        self.assertEqual(code, 0)
        rows = json.loads(out)["results"]
        self.assertIn("cpu", [row["variant"] for row in rows])
        self.assertTrue(all(row["disk_bytes"] > row["download_bytes"] > 1e8 for row in rows))
        code, out, _ = self.cli("--report")
        self.assertEqual(code, 0)
        self.assertIn("Engine: absent", out)
        code, _, errors = self.cli("--variant", "rocm")
        self.assertEqual(code, 2)
        self.assertIn("cannot be installed here; available: cpu", errors)

    def test_an_installed_engine_is_used_until_it_breaks(self) -> None:
        record, places = ours("installing.record"), self.installation.places()
        lock = ours("installing.variants").read_lock(self.installation.locks().path("cpu"))
        made = record.Record("e1", "cpu", lock.sha256, "3.11", "2.13.0", "cpu", "CPU", 40.0)
        python = ours("installing.places").python_in(places.environments / "e1", "linux")
        python.parent.mkdir(parents=True)
        python.touch()
        record.write(places, made)
        settings = ours("preferences").engine_settings()
        self.assertEqual(settings.python, Path(python))
        self.assertEqual(self.condition(), "ready")
        record.write(places, record.Record("e1", "cpu", "0" * 64))
        self.assertEqual(self.condition(), "outdated")
        python.unlink()
        self.assertEqual(self.condition(), "broken")
        self.installation.start("remove")
        self.assertEqual(self.installation.wait(60.0).phase, "done")
        self.assertEqual(self.installation.condition(), "absent")
        self.assertFalse(places.record.exists())

    def condition(self) -> str:
        self.installation._kept = None
        found: str = self.installation.condition()
        return found

    def test_the_button_says_what_it_will_download(self) -> None:
        panel = ours("ui.panels.installation")
        sentence = panel._size_sentence()
        self.assertIn("CPU: downloads", sentence)
        self.assertIn("of disk", sentence)
        ours("preferences").get().variant = "rocm"
        self.addCleanup(setattr, ours("preferences").get(), "variant", "auto")
        self.assertEqual(panel._size_sentence(), "ROCm (AMD): not available for this system")

    def test_a_gpu_without_a_lock_is_named_before_the_download(self) -> None:
        machine = ours("installing.machine").Machine("linux", "x86_64", "AMD GPU", has_amd=True)
        self.patch(self.installation, "machine", lambda: machine)
        drawn: list[str] = []
        panel = ours("ui.panels.installation")
        self.patch(panel, "draw_text", lambda _layout, text, _icon: drawn.append(text))
        panel._draw_install(mock.MagicMock(), "absent")
        self.assertTrue(drawn[0].startswith("CPU: downloads"))
        self.assertTrue(drawn[1].startswith("ROCm (AMD) cannot be installed on this system yet"))
        _, out, _ = self.cli("--sizes")
        self.assertIn("ROCm (AMD) cannot be installed on this system yet", out)
        drawn.clear()
        ours("preferences").get().variant = "cpu"
        self.addCleanup(setattr, ours("preferences").get(), "variant", "auto")
        panel._draw_install(mock.MagicMock(), "absent")
        self.assertFalse([text for text in drawn if text.startswith("ROCm")], "CPU was chosen")
