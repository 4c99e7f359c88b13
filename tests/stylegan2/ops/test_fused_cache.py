# SPDX-License-Identifier: GPL-3.0-or-later
"""The kept library: nothing damaged or of somebody else is loaded, and nothing that crashed."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from stylegan2.ops.fused import BuildError, noted
from stylegan2.ops.fused.build import build_by
from stylegan2.ops.fused.loading import CrashedBeforeError
from stylegan2.ops.fused.private import UnsafeFolderError, private_folder
from stylegan2.windows import fused_start

from .test_fused_build import COMPILER, ROOT, TARGET, sources, values

__all__ = ["sources"]

pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler"),
    pytest.mark.skipif(sys.platform == "win32", reason="modes and signals of POSIX"),
]


@pytest.fixture
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:64])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _linked(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _kept_times(change: Callable[[Path], None], path: Path) -> None:
    """Change a file as a power cut does: Ninja sees the times of what it has built."""
    times = path.stat()
    change(path)
    if not path.is_symlink():
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [_half, _zeroed, _header, _emptied, _linked])
@pytest.mark.parametrize("names", ["fused.so", "fused-*.so", "*.o", "*"])
def test_what_is_damaged_is_made_anew(
    sources: Path, tmp_path: Path, change: Callable[[Path], None], names: str
) -> None:
    library = build_by(TARGET, tmp_path)
    content = library.read_bytes()
    for path in list(library.parent.glob(names)):
        if path.is_file() and path.name != "lock":
            _kept_times(change, path)
    # In a process of its own, which may not end by a signal.
    again = build_by(TARGET, tmp_path)
    assert again.read_bytes() == content
    assert not again.is_symlink()
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).one())"
    done = subprocess.run([sys.executable, "-c", code, again], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_with_umask_000_all_is_for_this_user_alone(
    sources: Path, tmp_path: Path, _no_umask: None
) -> None:
    folder = tmp_path / "caches" / "draggan" / "operators"
    library = build_by(TARGET, folder)
    assert values(library) == (1, 2)
    for path in (tmp_path / "caches", *(tmp_path / "caches").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert oct(mode) == oct(0o700 if path.is_dir() else 0o600), path


def test_a_folder_that_was_open_to_others_is_emptied_before_anything_is_loaded(
    sources: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "operators"
    library = build_by(TARGET, folder)
    planted = library.with_name("planted.so")
    planted.write_bytes(b"planted")
    library.parent.chmod(0o777)
    assert values(build_by(TARGET, folder)) == (1, 2)
    assert not planted.exists()
    assert stat.S_IMODE(library.parent.stat().st_mode) == 0o700


def test_a_folder_in_which_others_can_replace_ours_is_refused(
    sources: Path, tmp_path: Path
) -> None:
    above = tmp_path / "for all"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(BuildError, match="other users can change the folder"):
        build_by(TARGET, above / "operators")
    above.chmod(0o1777)  # as /tmp: others cannot rename what is not theirs
    assert values(build_by(TARGET, above / "operators")) == (1, 2)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="gives a folder away")
@pytest.mark.parametrize("which", ["operators", "operators/build", "."])
def test_a_folder_of_someone_else_is_refused(tmp_path: Path, which: str) -> None:
    inner = private_folder(tmp_path / "cache" / "operators" / "build")
    os.chown(tmp_path / "cache" / which, 12345, 12345)
    with pytest.raises(UnsafeFolderError):
        private_folder(inner)
        private_folder(inner.parent)


def test_a_link_in_place_of_the_folder_is_refused(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "operators").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BuildError, match="is not a plain folder"):
        build_by(TARGET, tmp_path / "operators")


def _crash(library: Path, how: str) -> None:
    """Load a library in another process that ends in the middle of it."""
    code = (
        "import ctypes, os, sys; from pathlib import Path\n"
        "from stylegan2.ops.fused import end_loading, noted\n"
        "with noted(Path(sys.argv[1])):\n"
        f"    {how}\n"
    )
    subprocess.run([sys.executable, "-c", code, library], cwd=ROOT, check=False)


def test_a_library_that_ended_a_start_is_not_loaded_again(sources: Path, tmp_path: Path) -> None:
    library = build_by(TARGET, tmp_path)
    _crash(library, "ctypes.string_at(0)")
    assert b"string_at" in next(library.parent.glob("*.loading")).read_bytes()
    for _ in range(2):
        assert build_by(TARGET, tmp_path) == library
        with pytest.raises(CrashedBeforeError, match="to try it again"), noted(library):
            pytest.fail("it was loaded")
    library.with_suffix(".crashed").unlink()
    with noted(library):
        assert values(library) == (1, 2)
    assert not list(library.parent.glob("*.loading"))


@pytest.mark.parametrize(
    "how",
    [
        "raise SystemExit",
        "end_loading(); os._exit(0)",
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})",
        f"os.kill(os.getpid(), {int(signal.SIGTERM)})",
    ],
)
def test_an_end_from_outside_is_no_crash(sources: Path, tmp_path: Path, how: str) -> None:
    library = build_by(TARGET, tmp_path)
    _crash(library, how)
    with noted(library):
        assert values(library) == (1, 2)


def test_a_process_whose_errors_go_nowhere_loads_the_library(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = build_by(TARGET, tmp_path)
    closed = (tmp_path / "closed").open("w")
    closed.close()
    monkeypatch.setattr(sys, "__stderr__", closed)
    with noted(library):
        assert values(library) == (1, 2)
    assert not list(library.parent.glob("*.loading"))


def test_a_mark_without_a_traceback_is_of_an_end_from_outside(
    sources: Path, tmp_path: Path
) -> None:
    library = build_by(TARGET, tmp_path)
    library.with_suffix(".crashed").touch()  # as an earlier version left it
    with noted(library):
        assert values(library) == (1, 2)


def test_a_library_that_another_process_loads_now_is_no_crash(
    sources: Path, tmp_path: Path
) -> None:
    library = build_by(TARGET, tmp_path)
    with noted(library):
        code = (
            "import sys; from pathlib import Path; from stylegan2.ops.fused import noted\n"
            "with noted(Path(sys.argv[1])): print('loaded')"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, library], cwd=ROOT, capture_output=True, text=True
        )
    assert done.stdout == "loaded\n"


def test_a_crash_is_said_and_drags_run_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    library = tmp_path / "cache" / "fused-1.so"
    library.parent.mkdir()
    library.with_suffix(".crashed").write_bytes(b"Fatal Python error: Bus error\n")
    monkeypatch.setattr(fused_start, "build", lambda folder, device: library)
    monkeypatch.setattr(fused_start, "_PREPARATIONS", {})
    monkeypatch.delenv(fused_start.SWITCH, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: pytest.fail("it was loaded"))
    device = torch.device("cpu")
    with caplog.at_level("INFO"):
        fused_start.start_fused_operators(tmp_path / "cache" / "operators", device)
        assert fused_start.fused_operators(device, wait=True) is None
    assert "an earlier start crashed while it loaded" in caplog.text
