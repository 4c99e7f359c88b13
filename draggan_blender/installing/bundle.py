# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: all that an installation needs as one folder, for a computer without a network.

``bundle.json`` names the lock, the platform and each file with its SHA-256. What is installed is
checked against the extension's own lock as well, so a bundle cannot bring other packages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from ..protocol.atomic_files import link_or_copy, write_atomically
from .downloads import Wanted, sha256_of
from .machine import Machine
from .places import Places
from .problems import CancelledError, InstallError, from_os_error
from .variants import LABELS, Lock

_FORMAT = 1
_MANIFEST = "bundle.json"


def save(
    folder: Path,
    *,
    variant: str,
    machine: Machine,
    python: str,
    lock: Lock,
    wanted: list[Wanted],
    uv_wheel: Path,
    places: Places,
    should_stop: Callable[[], bool],
) -> int:
    """Write a bundle of downloaded files and return its size in bytes.

    Args:
        folder: The folder to write to; it is made.
        variant: The variant of PyTorch.
        machine: This computer.
        python: The version of Python that the files are for, ``3.11``.
        lock: The lock.
        wanted: The packages; they are in ``places.downloads``.
        uv_wheel: The wheel of uv.
        places: Where the files are; a downloaded Python is added.
        should_stop: Whether to cancel.

    Raises:
        InstallError: The folder cannot be written.
        CancelledError: The person has cancelled.
    """
    sources = {item.name: places.downloads / item.name for item in wanted}
    sources[uv_wheel.name] = uv_wheel
    for archive in sorted((places.pythons / "archives").glob("*.tar.*")):
        sources[f"python/{archive.name}"] = archive
    files = {}
    try:
        for name, source in sources.items():
            if should_stop():
                raise CancelledError
            link_or_copy(source, _make_room(folder / name))
            files[name] = sha256_of(source)
        facts = {
            "format": _FORMAT,
            "variant": variant,
            "platform": machine.key,
            "python": python,
            "lock_sha256": lock.sha256,
            "packages": [item.name for item in wanted],
            "files": files,
        }
        write_atomically(folder / _MANIFEST, json.dumps(facts, indent=1).encode())
    except OSError as error:
        raise from_os_error(error, str(folder)) from error
    return sum(source.stat().st_size for source in sources.values())


def read(folder: Path) -> dict[str, Any]:
    """Return what ``bundle.json`` says.

    Raises:
        InstallError: The folder is not a bundle.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InstallError("no_bundle", name=str(folder), detail=f"no {_MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise InstallError("no_bundle", name=str(folder), detail=str(error)) from None
    known = {"variant", "platform", "python", "lock_sha256", "packages", "files"}
    if facts.get("format") != _FORMAT or not known <= set(facts):
        raise InstallError("no_bundle", name=str(folder), detail=f"an unknown {_MANIFEST}")
    return facts


def take_over(
    folder: Path,
    facts: dict[str, Any],
    lock: Lock,
    machine: Machine,
    places: Places,
    on_bytes: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> list[Wanted]:
    """Check a bundle, copy its files to the downloads, and return its packages.

    Args:
        folder: The bundle.
        facts: Of ``read``.
        lock: The lock of the bundle's variant in this version of the extension.
        machine: This computer.
        places: Where the files go.
        on_bytes: Called with the bytes that were handled.
        should_stop: Whether to cancel.

    Raises:
        InstallError: The bundle does not fit, or a file was changed.
        CancelledError: The person has cancelled.
    """
    label = LABELS[facts["variant"]]
    if facts["platform"] != machine.key:
        detail = f"it is for {facts['platform']}, and this is {machine.key}"
        raise InstallError("other_bundle", detail=detail)
    if facts["lock_sha256"] != lock.sha256:
        detail = f"it has {label} for another version of the extension"
        raise InstallError("other_bundle", detail=detail)
    known = frozenset[str]().union(*lock.hashes.values())
    wanted = []
    try:
        for name, sha256 in facts["files"].items():
            if should_stop():
                raise CancelledError
            if name in facts["packages"] and sha256 not in known:
                raise InstallError("hash", name=name)
            destination = _take_file(folder, name, sha256, places)
            size = destination.stat().st_size
            on_bytes(size)
            if name in facts["packages"]:
                wanted.append(Wanted(name, destination.as_uri(), frozenset({sha256}), size))
    except OSError as error:
        raise from_os_error(error, str(folder)) from error
    return wanted


def _take_file(folder: Path, name: str, sha256: str, places: Places) -> Path:
    """Check one file of a bundle, copy it to where it belongs, and return its new path."""
    source = folder / _plain(name, folder)
    if not source.is_file():
        raise InstallError("other_bundle", detail=f"its file {name} is missing")
    if sha256_of(source) != sha256:
        raise InstallError("other_bundle", detail=f"its file {name} was changed")
    is_python = name.startswith("python/")
    kept = places.pythons / "archives" if is_python else places.downloads
    destination = _make_room(kept / source.name)
    link_or_copy(source, destination)
    return destination


def _plain(name: str, folder: Path) -> PurePosixPath:
    """Return a file's name if it is inside of the bundle."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise InstallError("no_bundle", name=str(folder), detail=f"a file is called {name!r}")
    return path


def _make_room(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
