# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of the installed engine, ``engine.json``: the environment in use, and its facts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..protocol.atomic_files import write_atomically
from .machine import Machine
from .places import Places, python_in
from .variants import Locks, read_lock


@dataclass(frozen=True, slots=True)
class Record:
    """An installed engine.

    Attributes:
        environment: The name of its folder in ``Places.environments``.
        variant: ``cpu``, ``cuda``, ``rocm`` or ``apple``.
        lock_sha256: The lock that it was made from.
        python: The version of its Python.
        torch: The version of PyTorch.
        device: The device that the self-test ran on, ``cpu``.
        device_name: In words, ``CPU, 8 threads``.
        step_ms: How long a step of the self-test's drag took.
        failed_device: A device that has failed its self-test; empty if none has.
        failure: What it said.
    """

    environment: str
    variant: str
    lock_sha256: str
    python: str = ""
    torch: str = ""
    device: str = ""
    device_name: str = ""
    step_ms: float = 0.0
    failed_device: str = ""
    failure: str = ""

    @property
    def sentence(self) -> str:
        """What the engine can do, for people: ``Ready on CPU, 8 threads: 40 ms a step``."""
        ready = f"Ready on {self.device_name}: {self.step_ms:.0f} ms a step"
        if not self.failed_device:
            return ready
        return f"{ready}. {self.failed_device} has failed its test ({self.failure})"


def read(places: Places) -> Record | None:
    """Return the record of the installed engine; None without one, or if it cannot be read."""
    try:
        stored = json.loads(places.record.read_text(encoding="utf-8"))
        return Record(**{field.name: stored[field.name] for field in fields(Record)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(places: Places, record: Record) -> None:
    """Make an environment the one in use.

    Raises:
        OSError: The file cannot be written.
    """
    write_atomically(places.record, json.dumps(asdict(record), indent=1).encode())


def installed_python(places: Places, machine: Machine) -> Path | None:
    """Return the interpreter of the installed engine; None if there is none."""
    record = read(places)
    if record is None:
        return None
    python = python_in(places.environments / record.environment, machine.system)
    return python if os.path.isfile(python) else None


def state(places: Places, locks: Locks, machine: Machine) -> str:
    """Return the state of the installation.

    Returns:
        ``absent``; ``broken`` if its files are gone, or the Python that it was made with;
        ``outdated`` if this version of the extension has another lock; otherwise ``ready``.
    """
    record = read(places)
    if record is None:
        return "broken" if places.record.exists() else "absent"
    if installed_python(places, machine) is None:
        return "broken"
    path = locks.path(record.variant)
    if not path.is_file() or read_lock(path).sha256 != record.lock_sha256:
        return "outdated"
    return "ready"
