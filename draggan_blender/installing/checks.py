# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an environment runs the engine: a self-test drag, and what a person's Python lacks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import commands
from .problems import InstallError
from .progress import Progress
from .running import run

# The modules that the engine imports, and the packages that bring them.
MODULES = {"torch": "torch", "numpy": "numpy", "PIL": "pillow", "safetensors": "safetensors"}
_LEAST_PYTHON = [3, 11]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a self-test has ended.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        device_name: In words.
        step_ms: How long a step of the drag took.
        torch: The version of PyTorch.
        failed_device: The device that has failed before the CPU was tested; empty if none has.
        failure: What it said.
    """

    device: str
    device_name: str
    step_ms: float
    torch: str
    failed_device: str = ""
    failure: str = ""


def self_test(
    python: Path,
    root: Path,
    *,
    device: str,
    env: dict[str, str],
    folder: Path,
    progress: Progress,
    system: str,
) -> Verdict:
    """Drag a point of the built-in model; if the GPU fails, on the CPU.

    Args:
        python: The environment's interpreter.
        root: The folder that holds ``engine``.
        device: ``cpu``, or ``auto`` for the GPU if there is one.
        env: The environment of the test.
        folder: Its current folder.
        progress: Progress and cancelling.
        system: ``linux``, ``windows`` or ``macos``.

    Raises:
        InstallError: The test fails on the CPU, too.
        CancelledError: The person has cancelled.
    """

    def test(name: str) -> tuple[dict[str, Any] | None, str]:
        code, text = run(
            commands.self_test(python, root, name),
            env=env,
            folder=folder,
            progress=progress,
            system=system,
        )
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not code and lines and lines[-1].startswith("{"):
            return json.loads(lines[-1]), ""
        return None, (lines or [f"exit code {code}"])[-1][:300]

    facts, failure = test(device)
    failed_device = ""
    if facts is None and device != "cpu":
        failed_device = "The GPU"
        facts, cpu_failure = test("cpu")
        failure = failure if facts is not None else cpu_failure
    if facts is None:
        raise InstallError("verification", detail=failure)
    return Verdict(**facts, failed_device=failed_device, failure=failure)


def check_own_python(
    python: Path, *, env: dict[str, str], folder: Path, progress: Progress, system: str
) -> str:
    """Return a sentence that says whether a person's own Python can run the engine.

    Raises:
        CancelledError: The person has cancelled.
    """
    if python.is_dir():
        inner = commands_of_folder(python, system)
        return f"{python} is a folder; choose the program in it, such as {inner}."
    if not python.is_file():
        return f"There is no file {python}; choose the program of a Python that has PyTorch."
    try:
        code, text = run(
            commands.check_python(python, tuple(MODULES)),
            env=env,
            folder=folder,
            progress=progress,
            system=system,
        )
    except InstallError as error:
        return f"{python} cannot be started: {error}"
    last = (text.strip().splitlines() or [""])[-1]
    if code or not last.startswith("{"):
        return f"{python} is not a Python that runs ({last[:200] or f'exit code {code}'})."
    facts = json.loads(last)
    version = ".".join(str(part) for part in facts["version"])
    if facts["version"][:2] < _LEAST_PYTHON:
        return f"It is Python {version}; the engine needs 3.11 or later."
    if facts["lacks"]:
        lacks = [MODULES[name] for name in facts["lacks"]]
        needed = f"{python} -m pip install {' '.join(lacks)}"
        return f"It is Python {version}, but it lacks {', '.join(lacks)}; install with: {needed}"
    return f"It is Python {version} and has all that the engine needs."


def commands_of_folder(folder: Path, system: str) -> str:
    """Return where the interpreter usually is in a folder."""
    return "Scripts\\python.exe" if system == "windows" else str(folder / "bin" / "python")
