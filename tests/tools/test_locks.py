# SPDX-License-Identifier: GPL-3.0-or-later
"""``dev.py lock``: what variants pin and platforms need, and variants that cannot be reached."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from draggan_blender.installing import variants
from draggan_blender.installing.downloads import Wanted, make_opener
from draggan_blender.installing.machine import Machine
from draggan_blender.installing.variants import Locks
from tests.installing.wheels import Index, make_wheel, sha256
from tools import locks
from tools.locks import Locker, RemoteFile, Variant

ENGINE = "# Packages of the engine.\nnumpy>=1.26\ntorch==2.13.0\npillow\n"


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for ``requirements``."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    (folder / "engine.txt").write_text(ENGINE)
    monkeypatch.setattr(locks, "REQUIREMENTS", folder)
    return folder


class FakeLocker(Locker):
    """A locker whose uv knows one package for some variants, platforms and Pythons.

    Attributes:
        reached: What in the requirements makes a lock possible.
        pythons: For each platform, the Pythons that it has a file for.
        asked: The options of each call of uv.
    """

    def __init__(self, folder: Path, reached: tuple[str, ...], pythons: dict[str, tuple[str, ...]]):
        self._folder = folder
        self._env = {}
        self.reached, self.pythons = reached, pythons
        self.asked: list[tuple[str, ...]] = []
        self.name, self.data = make_wheel("torch", {"torch.py": b"x" * 5000}, "2.13.0")
        folder.mkdir(exist_ok=True)
        self.wheel = folder / self.name
        self.wheel.write_bytes(self.data)

    def compile(self, source: Path, out: Path, *options: str) -> str:
        self.asked.append(options)
        if "--universal" in options:
            if not any(part in source.read_text() for part in self.reached):
                return "error: no solution\ncause: torch was not found\nhint: ask somebody"
            out.write_text(f"torch==2.13.0 \\\n    --hash=sha256:{sha256(self.data)}\n")
            return ""
        at = {
            name: options[options.index(name) + 1]
            for name in options
            if name.endswith("-python-platform") or name == "--python-version"
        }
        platforms = {value: key for key, value in locks._PLATFORMS.items()}
        known = self.pythons.get(platforms[at["--python-platform"]], ())
        if at["--python-version"] not in known:
            return "error: no wheels"
        out.write_text(
            'lock-version = "1.0"\n[[packages]]\nname = "torch"\nversion = "2.13.0"\n'
            f'wheels = [{{ url = "{self.wheel.as_uri()}", size = {len(self.data)}, '
            f'hashes = {{ sha256 = "{sha256(self.data)}" }} }}]\n'
        )
        return ""


def test_a_variant_replaces_the_line_of_torch_only() -> None:
    variant = Variant(("torch=={version}+cpu ; sys_platform == 'linux'", "torch=={version}"), ())
    assert locks.variant_input(ENGINE, variant) == (
        "# Packages of the engine.\nnumpy>=1.26\n"
        "torch==2.13.0+cpu ; sys_platform == 'linux'\ntorch==2.13.0\npillow\n"
    )
    with pytest.raises(SystemExit, match="no line torch=="):
        locks.variant_input("numpy\n", variant)


def test_each_variant_pins_the_version_of_the_engine() -> None:
    engine = (locks.REQUIREMENTS / "engine.txt").read_text()
    for name, variant in locks._VARIANTS.items():
        text = locks.variant_input(engine, variant)
        lines = [line for line in text.splitlines() if line.startswith("torch==")]
        assert len(lines) == len(variant.torch), name
        assert all("{" not in line for line in lines)


def test_a_lock_says_which_pythons_and_how_many_bytes_a_platform_needs(
    requirements: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platforms = {"linux-x86_64": ("3.11",), "windows-x86_64": ("3.12", "3.13")}
    locker = FakeLocker(tmp_path / "work", ("sys_platform != 'linux'",), platforms)
    assert locks.make(locker, {name: [] for name in locks._VARIANTS}, None) == 1
    table = json.loads((requirements / "locks.json").read_text())
    assert set(table) == {"cpu"}
    with zipfile.ZipFile(io.BytesIO(locker.data)) as wheel:
        unpacked = sum(entry.file_size for entry in wheel.infolist())
    sizes = {"download_bytes": len(locker.data), "installed_bytes": unpacked}
    assert table["cpu"] == {
        "linux-x86_64": {"pythons": ["3.11"], **sizes},
        "windows-x86_64": {"pythons": ["3.12", "3.13"], **sizes},
    }
    text = (requirements / "engine-cpu.lock").read_text()
    assert text.startswith("# Made by: python3 dev.py lock. Do not edit.\ntorch==2.13.0")
    printed = capsys.readouterr().out
    assert "macos-aarch64: not all packages can be reached" in printed
    assert "Left as before, or without a system: CUDA (NVIDIA)" in printed
    assert "hint: ask somebody" in printed


def test_a_variant_that_cannot_be_reached_is_left_as_it_was(
    requirements: Path, tmp_path: Path
) -> None:
    before = {"rocm": {"linux-x86_64": {"pythons": ["3.11"]}}}
    (requirements / "locks.json").write_text(json.dumps(before))
    (requirements / "engine-rocm.lock").write_text("# an earlier one\n")
    locker = FakeLocker(tmp_path / "work", (), {})
    assert locks.make(locker, {name: [] for name in locks._VARIANTS}, None) == 1
    assert json.loads((requirements / "locks.json").read_text()) == before
    assert (requirements / "engine-rocm.lock").read_text() == "# an earlier one\n"
    assert not (requirements / "engine-cpu.lock").exists()


def test_a_place_with_wheels_is_passed_on_for_its_variant_only(
    requirements: Path, tmp_path: Path
) -> None:
    platforms: dict[str, tuple[str, ...]] = {"linux-x86_64": ("3.11",)}
    locker = FakeLocker(tmp_path / "work", ("torch",), platforms)
    places = {name: ["/wheels"] if name == "rocm" else [] for name in locks._VARIANTS}
    assert locks.make(locker, places, None) == 0
    with_links = [options for options in locker.asked if "--find-links" in options]
    assert all(options[options.index("--find-links") + 1] == "/wheels" for options in with_links)
    # One lock, and one list of files for each platform's Python.
    rocm = [options for options in with_links if "--universal" in options]
    assert len(rocm) == 1 and len(with_links) > 1
    assert len([options for options in locker.asked if "--universal" in options]) == 4


def _cuda_with_a_place(requirements: Path, folder: Path, reached: tuple[str, ...]) -> FakeLocker:
    locker = FakeLocker(folder, reached, {key: ("3.12",) for key in locks._PLATFORMS})
    places = {name: ["/wheels"] if name == "cuda" else [] for name in locks._VARIANTS}
    assert locks.make(locker, places, None) == 1
    assert "torch==2.13.0 " in (requirements / "engine-cuda.lock").read_text()
    return locker


def test_cuda_on_windows_is_locked_where_its_packages_are_reached(
    requirements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cuda_with_a_place(requirements, tmp_path / "work", ("+cu130 ; sys_platform == 'win32'",))
    table = json.loads((requirements / "locks.json").read_text())
    assert set(table) == {"cuda"}
    assert set(table["cuda"]) == {"linux-x86_64", "linux-aarch64", "windows-x86_64"}
    # What was locked can be installed, and is what suits a Windows computer with such a GPU.
    machine = Machine("windows", "x86_64", "NVIDIA GPU", "580.65")
    made = Locks(requirements)
    assert made.best(machine) == "cuda" and made.gap(machine) == ""
    assert variants.backend("cuda", machine) == "cu130"


def test_where_they_are_not_the_lock_of_cuda_is_made_without_windows(
    requirements: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class OnlyLinux(FakeLocker):
        def compile(self, source: Path, out: Path, *options: str) -> str:
            if "--universal" in options and "win32" in source.read_text():
                return "error: no solution"
            return super().compile(source, out, *options)

    locker = OnlyLinux(tmp_path / "work", ("torch==2.13.0 ;",), {"linux-x86_64": ("3.12",)})
    places = {name: ["/wheels"] if name == "cuda" else [] for name in locks._VARIANTS}
    assert locks.make(locker, places, None) == 1
    assert set(json.loads((requirements / "locks.json").read_text())["cuda"]) == {"linux-x86_64"}
    printed = capsys.readouterr().out
    assert "not made for linux, windows: error: no solution" in printed
    assert "Left as before, or without a system: CUDA (NVIDIA)" in printed


@pytest.mark.parametrize("text", ["rocm", "teapot=/wheels", "cpu="])
def test_a_place_that_is_not_understood_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dev.py lock", "--torch", text])
    with pytest.raises(SystemExit):
        locks.main()
    assert "expected one of cpu, cuda, apple, rocm, =, and a place" in capsys.readouterr().err


def test_only_the_end_of_a_remote_wheel_is_read() -> None:
    filler = bytes(range(256)) * 4000
    name, data = make_wheel("large", {"large.bin": filler, "large.py": b"ok\n"})
    index = Index({name: data})
    try:
        url = f"{index.base}/files/{name}"
        item = Wanted(name, url, frozenset({sha256(data)}), len(data))
        known: dict[str, int] = {}
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            expected = sum(entry.file_size for entry in wheel.infolist())
        assert locks.unpacked_bytes(item, make_opener(), known) == expected
        assert index.ranges and "" not in index.ranges
        assert index.served < 100_000 < len(data)
        asked = len(index.ranges)
        assert locks.unpacked_bytes(item, make_opener(), known) == expected
        assert len(index.ranges) == asked
        remote = RemoteFile(url, len(data), make_opener())
        assert remote.seek(-10, 2) == len(data) - 10
        assert remote.read() == data[-10:]
        assert (remote.read(5), remote.tell()) == (b"", len(data))
        assert remote.seek(-3, 1) == len(data) - 3 and remote.read(1) == data[-3:-2]
    finally:
        index.close()
