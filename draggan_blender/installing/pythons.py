# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the Python that the engine's environment is made from.

The best is one that uv downloads: it depends neither on the system nor on Blender, so that an
upgrade of either keeps the engine. If it cannot be downloaded, the system's is used, and then
Blender's own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from . import commands
from .machine import Machine
from .places import Places
from .problems import InstallError
from .progress import Progress
from .running import run


def find_python(
    uv: Path,
    versions: tuple[str, ...],
    places: Places,
    machine: Machine,
    env: Mapping[str, str],
    progress: Progress,
    *,
    online: bool,
) -> tuple[str, str]:
    """Return a Python for the engine: its path and its version, ``3.11``.

    Args:
        uv: The program.
        versions: The versions that all packages exist for, the best first.
        places: Where a downloaded Python is kept.
        machine: This computer.
        env: The environment of ``commands.environment``.
        progress: Progress and cancelling.
        online: Whether one may be downloaded.

    Raises:
        InstallError: There is none.
        CancelledError: The person has cancelled.
    """

    def ask(command: list[str]) -> str:
        code, text = run(
            command, env=env, folder=places.engine, progress=progress, system=machine.system
        )
        lines = [line for line in text.splitlines() if Path(line.strip()).is_file()]
        return lines[-1].strip() if not code and lines else ""

    def managed() -> tuple[str, str] | None:
        path = ask(commands.python_find(uv, versions[0], managed=True))
        return (path, versions[0]) if path else None

    found = managed()
    if found is None and online and env.get("UV_PYTHON_DOWNLOADS") != "never":
        ask(commands.python_install(uv, versions[0]))
        found = managed()
    if found is not None:
        return found
    for version in versions:
        if path := ask(commands.python_find(uv, version, managed=False)):
            return path, version
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own in versions:
        return sys.executable, own
    raise InstallError("no_python", detail=versions[0])
