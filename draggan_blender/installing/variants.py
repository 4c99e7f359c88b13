# SPDX-License-Identifier: GPL-3.0-or-later
"""The variants of PyTorch that can be installed, and their locks.

``requirements/engine-VARIANT.lock`` pins every package by version and SHA-256;
``requirements/locks.json`` says for which platforms and Pythons it has all of them, and how large
they are. ``dev.py lock`` makes both.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from .machine import Machine, suggested_variant
from .problems import InstallError

LABELS = {"cpu": "CPU", "cuda": "CUDA (NVIDIA)", "rocm": "ROCm (AMD)", "apple": "Apple GPU"}

# uv's name of PyTorch's own index, where the usual index does not have this variant for a system.
_BACKENDS = {
    ("cpu", "linux"): "cpu",
    ("cuda", "windows"): "cu130",
    ("rocm", "linux"): "rocm7.2",
}

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a variant on one platform before it is downloaded.

    Attributes:
        pythons: The Python versions that all packages exist for, the best first: ``3.11``.
        download_bytes: The size of the packages.
        installed_bytes: The size of the environment.
    """

    pythons: tuple[str, ...]
    download_bytes: int
    installed_bytes: int

    @property
    def disk_bytes(self) -> int:
        """What an installation needs on the disk: packages and environment."""
        return self.download_bytes + self.installed_bytes


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file.

    Attributes:
        path: The file.
        sha256: Of its content; an environment that was made from another one is out of date.
        hashes: The allowed SHA-256 of each package's files, by the name in lower case.
    """

    path: Path
    sha256: str
    hashes: dict[str, frozenset[str]]


def read_lock(path: Path) -> Lock:
    """Read a lock file.

    Raises:
        OSError: The file cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    hashes: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if found := _REQUIREMENT.match(line):
            name = normal(found["name"])
        if name:
            hashes.setdefault(name, set()).update(_HASH.findall(line))
    # Line endings do not count: git may change them on Windows.
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Lock(path, digest, {key: frozenset(value) for key, value in hashes.items()})


def normal(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Locks:
    """The locks in the folder ``requirements`` of the extension."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "locks.json"
        table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self._table: dict[str, dict[str, dict[str, object]]] = table

    def facts(self, variant: str, machine: Machine) -> Facts | None:
        """Return what is known of a variant on a computer; None if it cannot be installed."""
        entry = self._table.get(variant, {}).get(machine.key)
        if entry is None or not self.path(variant).is_file():
            return None
        pythons = entry["pythons"]
        assert isinstance(pythons, list)
        sizes = [entry["download_bytes"], entry["installed_bytes"]]
        return Facts(tuple(pythons), *(int(str(size)) for size in sizes))

    def path(self, variant: str) -> Path:
        """Return the path of a variant's lock, which may not exist."""
        return self.folder / f"engine-{variant}.lock"

    def require(self, variant: str, machine: Machine) -> tuple[Lock, Facts]:
        """Return the lock of a variant, and what is known of it.

        Raises:
            InstallError: The variant cannot be installed on this computer.
        """
        facts = self.facts(variant, machine)
        if facts is None:
            raise InstallError("no_lock", name=LABELS[variant], detail=f"no lock for {machine.key}")
        return read_lock(self.path(variant)), facts

    def best(self, machine: Machine) -> str:
        """Return the variant that suits a computer and can be installed on it."""
        suggested = suggested_variant(machine)
        return suggested if self.facts(suggested, machine) is not None else "cpu"

    def gap(self, machine: Machine) -> str:
        """Return a sentence on a GPU that nothing can be installed for; empty if there is none.

        Args:
            machine: This computer. On Windows its GPU need not be known yet.
        """
        own = "set up a Python with PyTorch and choose it as Engine Python"
        suggested = suggested_variant(machine)
        if self.facts(suggested, machine) is None:
            return f"{LABELS[suggested]} cannot be installed on this system yet; for it, {own}"
        is_unknown = machine.system == "windows" and not machine.gpu
        if is_unknown and self.facts("cuda", machine) is None:
            return f"CUDA cannot be installed on Windows yet; for an NVIDIA GPU, {own}"
        return ""

    def available(self, machine: Machine) -> list[str]:
        """Return the variants that can be installed on a computer."""
        return [name for name in LABELS if self.facts(name, machine) is not None]


def backend(variant: str, machine: Machine) -> str:
    """Return uv's name of the index that has a variant; empty if the usual index has it."""
    return _BACKENDS.get((variant, machine.system), "")
