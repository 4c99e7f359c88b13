# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder for caches, also of a user who has no home folder, as in the container of a farm."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from draggan_blender.protocol.cache_folder import cache_folder, home_folder

ROOT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="runs as a user without an entry"
)


def test_without_a_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert home_folder() is None
    assert cache_folder().parent == Path(tempfile.gettempdir())


@needs_root
def test_a_user_without_home_and_without_an_entry_drags() -> None:
    """Run the real command as a user id that the system does not know."""
    code = "import sys; from engine.cli.arguments import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "drag", "--pair", "64,60:72,60", "--max-steps", "2"]
    command += ["--device", "cpu", "--threads", "1"]
    # pytest's own temporary folders cannot be entered by another user.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o1777)
        done = subprocess.run(
            [*command, "--out", str(folder / "out")],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "TMPDIR": name, "PYTHONPATH": str(ROOT)},
            user=54321,
            group=54321,
            extra_groups=[],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert (folder / "out" / "track.npz").is_file()
