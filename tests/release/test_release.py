# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases: the same bytes for the same commit, complete sums, and a parts list of the locks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools.release import __main__ as release
from tools.release import archive, components, repository
from tools.release.archive import ReleaseError

ROOT = Path(__file__).resolve().parents[2]

needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git checkout")


def _zip(path: Path, names: list[str], year: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name, (year, 2, 3, 4, 5, 6)), f"the text of {name}\n" * 9)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@needs_git
def test_two_builds_in_two_folders_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name, zone in (("one", "UTC"), ("another, with ä", "Asia/Tokyo")):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / f"temporary {name}"))
        Path(tmp_path / f"temporary {name}").mkdir()
        before = os.umask(0o077 if name == "one" else 0o022)
        try:
            path, listed, _ = release.build("HEAD", tmp_path / name)
        finally:
            os.umask(before)
        made.append((path.name, path.read_bytes(), listed.read_bytes()))
    assert made[0] == made[1]
    with zipfile.ZipFile(tmp_path / "one" / made[0][0]) as found:
        names = set(found.namelist())
        years = {entry.date_time[0] for entry in found.infolist()}
    assert {"blender_manifest.toml", "__init__.py", "engine/__main__.py"} <= names
    assert len(years) == 1


def test_order_times_and_modes_of_the_builder_do_not_count(tmp_path: Path) -> None:
    one = _zip(tmp_path / "1.zip", ["a", "b/c", "b/d"], 1999)
    other = _zip(tmp_path / "2.zip", ["b/d", "a", "b/c"], 2024)
    assert _sha256(one) != _sha256(other)
    for path in (one, other):
        archive.make_equal(path, path.with_suffix(".made"), 1_700_000_000)
    assert _sha256(one.with_suffix(".made")) == _sha256(other.with_suffix(".made"))
    with zipfile.ZipFile(one.with_suffix(".made")) as made:
        assert made.namelist() == ["a", "b/c", "b/d"]
        assert made.read("b/c") == b"the text of b/c\n" * 9
    _zip(tmp_path / "3.zip", ["a", "b/c", "b/D"], 1999)
    archive.make_equal(tmp_path / "3.zip", tmp_path / "3.made", 1_700_000_000)
    assert _sha256(tmp_path / "3.made") != _sha256(one.with_suffix(".made"))


@pytest.mark.parametrize("name", ["tests/test_a.py", "dev.py", "engine/__pycache__/a.pyc"])
def test_files_of_development_are_refused(name: str, tmp_path: Path) -> None:
    archive.check(_zip(tmp_path / "good.zip", ["engine/a.py"], 2000))
    with pytest.raises(ReleaseError, match=re.escape(name)):
        archive.check(_zip(tmp_path / "bad.zip", ["engine/a.py", name], 2000))


def test_a_zip_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 100)
    with pytest.raises(ReleaseError, match="at most 100"):
        archive.check(_zip(tmp_path / "large.zip", ["engine/a.py"], 2000))


@needs_git
def test_a_commit_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no-such-tag"):
        archive.check_out(ROOT, "no-such-tag", tmp_path)


def test_the_sums_name_each_file_as_sha256sum_reads_it(tmp_path: Path) -> None:
    (tmp_path / "stable").mkdir()
    files = [tmp_path / "b.zip", tmp_path / "stable" / "index.json"]
    for path in files:
        path.write_text(path.name)
    text = release.write_sums(tmp_path, files[::-1]).read_text()
    assert text == (
        f"{hashlib.sha256(b'b.zip').hexdigest()}  b.zip\n"
        f"{hashlib.sha256(b'index.json').hexdigest()}  stable/index.json\n"
    )


@pytest.mark.parametrize(
    ("version", "channels"),
    [("0.2.0", ("stable", "preview")), ("0.2.0-beta.1", ("preview",))],
)
def test_a_preview_is_not_for_the_stable_channel(version: str, channels: tuple[str, ...]) -> None:
    assert repository.channels_of(version) == channels


def test_a_channel_has_one_version_an_index_and_a_page(tmp_path: Path) -> None:
    source = {
        "__init__.py": "",
        "blender_manifest.toml": (ROOT / "blender_manifest.toml").read_text(encoding="utf-8"),
    }
    present = tomllib.loads(source["blender_manifest.toml"])["version"]
    pages = []
    for version in (present, f"{present.partition('.')[0]}.9999.0"):
        path = tmp_path / f"draggan_blender-{version}.zip"
        with zipfile.ZipFile(path, "w") as made:
            for name, text in source.items():
                made.writestr(name, text.replace(f'"{present}"', f'"{version}"'))
        files = repository.write(path, tmp_path / "stable", release.blender_ext)
        assert all(file.is_file() for file in files)
        index = json.loads((tmp_path / "stable" / "index.json").read_text())
        (entry,) = index["data"]
        assert (entry["version"], entry["archive_url"]) == (version, f"./{path.name}")
        assert entry["archive_hash"] == f"sha256:{_sha256(path)}"
        pages.append((tmp_path / "stable" / "index.html").read_text())
    assert f"{path.name}?repository=" in pages[1]
    assert "Built" not in pages[1]  # no date: the same release gives the same page


def test_the_parts_list_has_what_the_locks_allow() -> None:
    packages = components.read_locks(ROOT / "requirements")
    text = components.bill(packages, "1.2.3", 1_700_000_000)
    assert text == components.bill(
        components.read_locks(ROOT / "requirements"), "1.2.3", 1_700_000_000
    )
    found = json.loads(text)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found["serialNumber"]
    )
    assert found["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    refs = [part["bom-ref"] for part in found["components"]]
    assert len(refs) == len(set(refs))
    by_ref = {part["bom-ref"]: part for part in found["components"]}
    torch = by_ref["pkg:pypi/torch@2.13.0%2Bcpu"]
    assert torch["properties"] == [
        {"name": "draggan:engine-cpu", "value": "sys_platform == 'linux'"}
    ]
    listed = {item["content"] for part in found["components"] for item in part["hashes"]}
    for lock in (ROOT / "requirements").glob("*.lock"):
        assert set(re.findall(r"sha256:([0-9a-f]{64})", lock.read_text())) <= listed
    other = components.bill(packages[1:], "1.2.3", 1_700_000_000)
    assert json.loads(other)["serialNumber"] != found["serialNumber"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("torch==1.0\n", "without a hash: torch"),
        (f"torch==1.0 \\\n    --hash=sha256:{'a' * 64}\nnumpy>=2\n", "line 3"),
    ],
)
def test_a_lock_that_is_not_understood_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "engine-cpu.lock").write_text(text)
    with pytest.raises(ValueError, match=problem):
        components.read_locks(tmp_path)
