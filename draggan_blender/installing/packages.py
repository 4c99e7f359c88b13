# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a lock needs on this computer, and where they come from."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..protocol.atomic_files import write_atomically
from .downloads import Wanted
from .problems import InstallError
from .variants import Lock, normal


def read_pylock(text: str, lock: Lock) -> list[Wanted]:
    """Return the wheels in a ``pylock.toml`` that uv has written for one environment.

    Args:
        text: The content of the file.
        lock: The lock; only its hashes are accepted, whatever the index says.

    Raises:
        InstallError: A package has no wheel that fits, or an unknown one.
    """
    wanted = []
    for package in tomllib.loads(text)["packages"]:
        name = package["name"]
        wheels = package.get("wheels", [])
        allowed = lock.hashes.get(normal(name), frozenset())
        fitting = [wheel for wheel in wheels if wheel["hashes"].get("sha256") in allowed]
        if not fitting:
            raise InstallError("hash" if wheels else "no_package", name=name)
        wanted.append(_wanted(fitting[0]))
    return wanted


def _wanted(wheel: dict[str, Any]) -> Wanted:
    url = wheel.get("url") or Path(wheel["path"]).absolute().as_uri()
    name = wheel.get("name") or unquote(urlsplit(url).path.rpartition("/")[2])
    size = int(wheel.get("size", 0))
    parts = urlsplit(url)
    if not size and parts.scheme == "file":
        path = Path(url2pathname(parts.path))
        size = path.stat().st_size if path.is_file() else 0
    return Wanted(name, url, frozenset({wheel["hashes"]["sha256"]}), size)


def save_list(path: Path, wanted: list[Wanted]) -> None:
    """Keep the list for the next installation, which then needs no index.

    Raises:
        OSError: The file cannot be written.
    """
    rows = [{**asdict(item), "sha256": sorted(item.sha256)} for item in wanted]
    write_atomically(path, json.dumps(rows, indent=1).encode())


def kept_list(path: Path, lock: Lock) -> list[Wanted] | None:
    """Return a list that ``save_list`` has kept; None if there is none, or not for this lock."""
    known = frozenset().union(*lock.hashes.values())
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        wanted = [Wanted(**{**row, "sha256": frozenset(row["sha256"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return wanted if wanted and all(item.sha256 <= known for item in wanted) else None


def list_path(folder: Path, lock: Lock, python: str) -> Path:
    """Return the name of the list of a lock and a version of Python."""
    return folder / f"packages-{lock.sha256[:12]}-{python}.json"
