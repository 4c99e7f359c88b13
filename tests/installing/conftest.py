# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake extension, a fake index and the program uv, for the tests of the installer."""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from draggan_blender.installing import commands, uv
from draggan_blender.installing.commands import Network
from draggan_blender.installing.machine import this_platform
from draggan_blender.installing.places import Places
from draggan_blender.installing.problems import InstallError
from draggan_blender.installing.progress import Progress
from draggan_blender.installing.request import InstallRequest
from draggan_blender.installing.steps import Installer

from .wheels import FAKE_TORCH, Index, make_wheel, write_root

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
MACHINE = this_platform()


@pytest.fixture(scope="session")
def uv_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pinned wheel of uv, fetched once for all tests; skip without a package index."""
    places = Places(tmp_path_factory.mktemp("uv"))
    for folder in (places.downloads, places.tools, places.scratch):
        folder.mkdir(parents=True)
    env = commands.environment(os.environ, Network(), pythons=places.pythons, cache=places.scratch)
    try:
        uv.ensure_uv(places, REQUIREMENTS, MACHINE, env, Progress(io.StringIO()))
    except InstallError as error:
        pytest.skip(f"uv cannot be fetched here: {error}")
    (wheel,) = places.downloads.glob("uv-*.whl")
    return wheel


@pytest.fixture
def index() -> Iterator[Index]:
    """Return an index with a fake PyTorch of 2 MB and a package that it needs."""
    filler = random.Random(7).randbytes(2_000_000)
    torch = make_wheel("torch", {"torch.py": FAKE_TORCH.encode(), "torch.bin": filler})
    small = make_wheel("small", {"small.py": b"ok = True\n"})
    made = Index(dict([torch, small]))
    yield made
    made.close()


class Bench:
    """An extension's root and user folder, and installers for them."""

    def __init__(self, folder: Path, index: Index, uv_wheel: Path) -> None:
        self.root, self.index = folder / "root", index
        self.user = folder / "user data é"
        self.places = Places(self.user)
        write_root(self.root, index.wheels, MACHINE.key)
        shutil.copy(REQUIREMENTS / "uv.lock", self.root / "requirements")
        self.places.downloads.mkdir(parents=True)
        shutil.copy(uv_wheel, self.places.downloads)
        self.out = io.StringIO()
        self.should_stop: Callable[[], bool] = lambda: False

    def installer(self, mode: str = "install", **more: object) -> Installer:
        """Return an installer for the fake index."""
        fields: dict[str, object] = {"variant": "cpu", "index": self.index.url, "online": True}
        request = InstallRequest(
            mode=mode,
            root=str(self.root),
            user=str(self.user),
            **{**fields, **more},  # type: ignore[arg-type]
        )
        progress = Progress(self.out, should_stop=lambda: self.should_stop())
        return Installer(request, MACHINE, progress, pause_s=0.01)

    def new_user(self) -> None:
        """Forget all that was installed and downloaded but uv."""
        (wheel,) = self.places.downloads.glob("uv-*.whl")
        data = wheel.read_bytes()
        shutil.rmtree(self.user)
        self.places.downloads.mkdir(parents=True)
        wheel.write_bytes(data)

    def environments(self) -> list[str]:
        """Return the names of the environments on the disk."""
        return sorted(path.name for path in self.places.environments.iterdir())


@pytest.fixture
def bench(tmp_path: Path, index: Index, uv_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a bench whose installer finds this Python, and downloads no other."""
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("PATH", str(Path(sys.base_prefix) / "bin"))
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return Bench(tmp_path, index, uv_wheel)
