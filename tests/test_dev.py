# SPDX-License-Identifier: GPL-3.0-or-later
"""``dev.py``: what it refuses, and what is in the zip that it builds."""

from __future__ import annotations

import collections
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import dev

ROOT = Path(__file__).resolve().parents[1]


def test_another_python_is_refused_with_the_versions_that_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = collections.namedtuple("version", "major minor micro releaselevel serial")
    monkeypatch.setattr(sys, "version_info", version(3, 12, 0, "final", 0))
    monkeypatch.setattr(sys, "argv", ["dev.py", "build"])
    assert dev.main() == 1
    message = capsys.readouterr().err
    assert "Python 3.11 or 3.13 is needed" in message
    assert "this is 3.12" in message


def test_unknown_arguments_go_to_pytest_and_the_benchmark_and_nowhere_else() -> None:
    assert dev.parse(["bench", "--quick"]).rest == ["--quick"]
    options = dev.parse(["test", "--blender", "blender", "-k", "mask"])
    assert (options.blender, options.rest) == (["blender"], ["-k", "mask"])
    with pytest.raises(SystemExit):
        dev.parse(["demo", "--quick"])


@pytest.fixture(scope="module")
def archive_names() -> set[str]:
    with zipfile.ZipFile(dev.build(Path(sys.executable))) as archive:
        return set(archive.namelist())


def test_the_zip_holds_extension_engine_and_model(archive_names: set[str]) -> None:
    assert archive_names >= {
        "__init__.py",
        "blender_manifest.toml",
        "LICENSE",
        "requirements/engine.txt",
        "draggan_blender/registration.py",
        "draggan_blender/protocol/messages.py",
        "engine/__main__.py",
        "stylegan2/generator.py",
        "stylegan2/models/suzanne.safetensors",
    }


def test_the_zip_holds_nothing_of_development(archive_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in archive_names}
    assert not tops & {"tests", "tools", "docs", "dev.py", "pyproject.toml", "dist", ".venv"}
    assert not [name for name in archive_names if "__pycache__" in name or name.startswith(".")]


def test_the_newest_version_in_the_changelog_is_that_of_the_manifest() -> None:
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    if headings[:1] == ["Unreleased"]:  # the changes of the next version
        del headings[0]
    assert headings[:1] == [manifest["version"]]
