# SPDX-License-Identifier: GPL-3.0-or-later
"""How the fused operators are started, and that nothing depends on them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from torch import Tensor

from stylegan2 import fused_operators, start_fused_operators
from stylegan2.ops.fused import BuildError, FusedOperators, build
from stylegan2.windows import fused_start

from ..ops.test_fused import CPU, needs_compiler

SUFFIXES = (".so", ".dylib", ".dll")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring the process to the state before fused operators are first started."""
    monkeypatch.setattr(fused_start, "_PREPARATIONS", {})
    monkeypatch.delenv(fused_start.SWITCH, raising=False)


@needs_compiler
def test_in_the_background(fresh: None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    start_fused_operators(tmp_path, CPU)
    found = fused_operators(CPU, wait=True)
    assert found is not None
    start_fused_operators(tmp_path, CPU)
    assert fused_operators(CPU) is found
    assert [record.message for record in caplog.records] == ["drags run with fused operators"]
    (folder,) = tmp_path.iterdir()
    libraries = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
    made = (folder / libraries[0]).stat().st_mtime_ns
    library = build(tmp_path, CPU)
    assert [library.name, f"fused{library.suffix}"] == libraries
    assert library.stat().st_mtime_ns == made


def test_switched_off(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fused_start.SWITCH, "0")
    start_fused_operators(tmp_path, CPU)
    assert fused_operators(CPU, wait=True) is None
    assert not list(tmp_path.iterdir())


def failing(folder: Path, code: str) -> Path:
    """Write a compiler that runs some Python instead, and return its path."""
    path = folder / "compiler"
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="its stand-in is a script")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('x.h: fatal error: 1'); raise SystemExit(3)", "failed with code 3: x.h: fatal"),
        ("open('fused.so', 'w').write('nonsense')", "drags run without fused operators"),
        ("import time; time.sleep(60)", "took over 1 s"),
        (None, "there is no C++ compiler"),
        ("no ninja", "the Python package ninja is missing"),
    ],
)
def test_without_them_it_goes_on(
    fresh: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: str | None,
    said: str,
) -> None:
    caplog.set_level(logging.INFO)
    building = sys.modules["stylegan2.ops.fused.build"]  # the name is also its function's
    if said == "took over 1 s":
        monkeypatch.setattr(building, "_TIMEOUT_S", 1.0)
    if code is None:
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setenv("CXX", str(failing(tmp_path, code)))
    if code == "no ninja":
        monkeypatch.setitem(sys.modules, "ninja", None)
    start_fused_operators(tmp_path / "libraries", CPU)
    assert fused_operators(CPU, wait=True) is None
    (record,) = caplog.records
    assert said in record.message
    assert "\n" not in record.message


def test_a_mac_is_not_asked_for_its_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xcode-select").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "xcode-select").chmod(0o755)
    failing(tmp_path, "raise SystemExit('was called')").rename(tmp_path / "c++")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BuildError, match=r"no C\+\+ compiler"):
        build(tmp_path / "libraries", CPU)


@needs_compiler
def test_wrong_operators_are_not_used(
    fresh: None,
    operators_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = FusedOperators.outputs

    def wrong(self: FusedOperators, products: Tensor, activation: object) -> None:
        right(self, products * 1.001, activation)  # type: ignore[arg-type]

    monkeypatch.setattr(FusedOperators, "outputs", wrong)
    start_fused_operators(operators_folder, CPU)
    assert fused_operators(CPU, wait=True) is None
    assert "they compute the result of a layer wrongly" in caplog.text


def test_a_folder_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match="were not built"):
        build(tmp_path / "file" / "folder", CPU)
