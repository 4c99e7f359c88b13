# SPDX-License-Identifier: GPL-3.0-or-later
"""Gets the program uv: its wheel is pinned by hash in ``requirements/uv.lock``.

Blender's Python fetches the wheel with the pip that it brings. Some Linux systems ship Blender with
a Python without pip; there another Python with pip is used, or a uv that is installed already.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from . import commands
from .downloads import sha256_of
from .machine import Machine
from .places import Places, python_in
from .problems import InstallError, from_os_error, from_tool_output
from .progress import Progress
from .running import run
from .variants import read_lock

# Other Pythons to ask for pip, by the names that systems give them.
_PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11", "python", "py")


def ensure_uv(
    places: Places,
    requirements: Path,
    machine: Machine,
    env: Mapping[str, str],
    progress: Progress,
) -> Path:
    """Return the path of uv; fetch it if it is not there.

    Args:
        places: Where it is kept. A wheel in ``places.downloads`` is used before the network is.
        requirements: The folder with ``uv.lock``.
        machine: This computer.
        env: The environment of ``commands.environment``.
        progress: Progress and cancelling.

    Raises:
        InstallError: It cannot be fetched.
        CancelledError: The person has cancelled.
    """
    lock = requirements / "uv.lock"
    allowed = read_lock(lock).hashes["uv"]
    program, stamp = places.uv(machine.system), places.tools / "uv.sha256"
    if program.is_file() and stamp.is_file() and stamp.read_text().strip() in allowed:
        return program
    wheel = kept_wheel(places.downloads, allowed)
    if wheel is None:
        _download(places, lock, machine, env, progress)
        wheel = kept_wheel(places.downloads, allowed)
    if wheel is None:
        own = shutil.which("uv", path=env.get("PATH"))
        if own is None:
            raise InstallError("no_pip")
        progress.log(f"using the uv of this system: {own}")
        return Path(own)
    _unpack(wheel, program)
    stamp.write_text(sha256_of(wheel))
    return program


def kept_wheel(folder: Path, allowed: frozenset[str]) -> Path | None:
    """Return the wheel of uv in a folder, if there is one with an allowed SHA-256."""
    for wheel in sorted(folder.glob("uv-*.whl")):
        if sha256_of(wheel) in allowed:
            return wheel
    return None


def _download(
    places: Places, lock: Path, machine: Machine, env: Mapping[str, str], progress: Progress
) -> None:
    """Download the wheel with the first pip that works; without any, do nothing.

    Raises:
        InstallError: A pip works, but cannot download.
    """
    python = _python_with_pip(places, machine, env, progress)
    if python is None:
        return
    command = commands.pip_download(python, lock, places.downloads)
    code, text = run(
        command, env=env, folder=places.engine, progress=progress, system=machine.system
    )
    if code:
        raise from_tool_output(text, name="the program uv")


def _python_with_pip(
    places: Places, machine: Machine, env: Mapping[str, str], progress: Progress
) -> Path | None:
    def works(command: list[str]) -> bool:
        code, _ = run(
            command, env=env, folder=places.engine, progress=progress, system=machine.system
        )
        return code == 0

    made = places.scratch / "pip"
    if works(commands.make_pip(sys.executable, made)):
        return python_in(made, machine.system)
    found = (shutil.which(name, path=env.get("PATH")) for name in _PYTHONS)
    for python in dict.fromkeys([sys.executable, *filter(None, found)]):
        if works([python, "-I", "-m", "pip", "--version"]):
            return Path(python)
    return None


def _unpack(wheel: Path, program: Path) -> None:
    """Take the program out of its wheel."""
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            (inner,) = (name for name in archive.namelist() if name.endswith(f"/{program.name}"))
            part = program.with_name(f"{program.name}.part")
            part.write_bytes(archive.read(inner))
        part.chmod(part.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        os.replace(part, program)
    except OSError as error:
        raise from_os_error(error, str(program)) from error
