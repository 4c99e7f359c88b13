# SPDX-License-Identifier: GPL-3.0-or-later
"""Test that coverage measures every module that can be imported without Blender, and no other."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("draggan_blender/**/*.py"))

IMPORT_ALL = """\
import importlib, sys
sys.path.insert(0, sys.argv[1])
sys.modules["bpy"] = None  # its import fails
for path in sys.argv[2:]:
    try:
        name = path.removesuffix(".py").replace("/", ".")
        importlib.import_module(name.removesuffix(".__init__"))
    except ImportError:
        continue
    print(path)
"""


def test_the_modules_that_need_no_blender_are_measured() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    report = tomllib.loads(text)["tool"]["coverage"]["report"]
    (whole_file,) = report["exclude_also"]
    measured = [
        path
        for path in MODULES
        if not any(fnmatch(path, pattern) for pattern in report["omit"])
        and not re.search(whole_file, (ROOT / path).read_text(encoding="utf-8"))
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_ALL, str(ROOT), *MODULES],
        capture_output=True,
        text=True,
        check=True,
    )
    importable = done.stdout.split()
    left_out = {path for path in importable if path not in measured}
    assert set(measured) <= set(importable)
    assert left_out <= {
        "draggan_blender/export/__init__.py",
        "draggan_blender/jobs/__init__.py",
        "draggan_blender/jobs/fitting_size.py",
        "draggan_blender/jobs/held_value.py",
        "draggan_blender/properties/__init__.py",
        "draggan_blender/properties/stored.py",
        "draggan_blender/ui/__init__.py",
    }
