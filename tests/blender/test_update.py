# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository on a web server: Blender installs from it and updates, and what is ours stays."""

from __future__ import annotations

import functools
import http.server
import importlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import tomllib
import unittest
import zipfile
from pathlib import Path

import bpy
import support

REPOSITORY = "draggan_test"
PACKAGE = f"bl_ext.{REPOSITORY}.draggan_blender"
ROOT = Path(__file__).resolve().parents[2]
OLD = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))["version"]
NEW = f"{OLD.partition('.')[0]}.9999.0"

# What a person has after a while: settings, an engine and a model.
PREPARE = f"""
import bpy
from pathlib import Path
bpy.context.preferences.addons["{PACKAGE}"].preferences.device = "cpu"
bpy.ops.wm.save_userpref()
user = Path(bpy.utils.extension_path_user("{PACKAGE}", create=True))
for name in ("engine/engine.json", "models/face.json"):
    (user / name).parent.mkdir(exist_ok=True)
    (user / name).write_text("mine")
"""
REPORT = f"""
import bpy, json, sys, tomllib
from pathlib import Path
addon = bpy.context.preferences.addons.get("{PACKAGE}")
user = Path(bpy.utils.extension_path_user("{PACKAGE}"))
found = {{"enabled": addon is not None, "classes": hasattr(bpy.types, "DRAGGAN_PT_image")}}
if addon is not None:
    root = Path(sys.modules["{PACKAGE}"].__file__).parent
    manifest = tomllib.loads((root / "blender_manifest.toml").read_text())
    found.update(version=manifest["version"], device=addon.preferences.device)
found["files"] = sorted(p.relative_to(user).as_posix() for p in user.rglob("*.json"))
print("REPORT", json.dumps(found), flush=True)
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@unittest.skipIf(support.is_module(), "the bpy module has no command line")
class UpdateTest(unittest.TestCase):
    def setUp(self) -> None:
        """Serve an empty folder, and use a Blender without any settings."""
        self.folder = Path(tempfile.mkdtemp(prefix="draggan-update-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.served = self.folder / "served"
        self.served.mkdir()
        handler = functools.partial(_Quiet, directory=str(self.served))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}/index.json"

    def blender(self, *arguments: str) -> str:
        """Run Blender with this person's settings, and return what it prints."""
        done = subprocess.run(
            [bpy.app.binary_path, "-b", "--online-mode", "--python-exit-code", "1", *arguments],
            env={
                **os.environ,
                "BLENDER_USER_RESOURCES": str(self.folder / "user"),
                "no_proxy": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            timeout=support.TIMEOUT_S,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def publish(self, version: str) -> None:
        """Offer the installed zip under a version, as ``dev.py release`` does."""
        for old in self.served.glob("*.zip"):
            old.unlink()
        path = self.served / f"draggan_blender-{version}.zip"
        with zipfile.ZipFile(support.archive) as source, zipfile.ZipFile(path, "w") as made:
            for name in source.namelist():
                content = source.read(name)
                if name == "blender_manifest.toml":
                    content = content.replace(
                        f'version = "{OLD}"'.encode(), b'version = "%s"' % version.encode()
                    )
                made.writestr(name, content)
        tool = importlib.import_module("bl_pkg.cli.blender_ext")
        self.assertEqual(tool.main(["server-generate", "--repo-dir", str(self.served)]), 0)

    def report(self, before: str = "") -> dict[str, object]:
        """Run a script in a Blender, and return what is there afterwards."""
        lines = self.blender("--python-expr", before + REPORT).splitlines()
        found: dict[str, object] = json.loads(
            next(line.removeprefix("REPORT ") for line in lines if line.startswith("REPORT "))
        )
        return found

    def test_it_is_installed_and_updated_and_settings_and_engine_stay(self) -> None:
        self.publish(OLD)
        extension = ("-c", "extension")
        # No other repository, so that nothing outside this machine is asked.
        self.blender(*extension, "repo-add", REPOSITORY, "--url", self.url, "--clear-all")
        package = f"{REPOSITORY}.draggan_blender"
        self.blender(*extension, "install", package, "--sync", "--enable")
        files = ["engine/engine.json", "models/face.json"]
        expected = {
            "enabled": True,
            "classes": True,
            "version": OLD,
            "device": "cpu",
            "files": files,
        }
        self.assertEqual(self.report(PREPARE), expected)
        self.publish(NEW)
        self.blender(*extension, "update", "--sync")
        self.assertEqual(self.report(), {**expected, "version": NEW})
