# SPDX-License-Identifier: GPL-3.0-or-later
"""What this computer has: system, processor and GPU, as far as it decides what to install."""

from __future__ import annotations

import contextlib
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

# The oldest NVIDIA drivers that run PyTorch for CUDA 13, by the major number.
LEAST_NVIDIA_DRIVER = 580

# The version of NVIDIA's driver, and the device of AMD's compute driver, on Linux.
_NVIDIA_MODULE = Path("/proc/driver/nvidia/version")
_AMD_DEVICE = Path("/dev/kfd")

_CREATE_NO_WINDOW = 0x08000000
_ASK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer.

    Attributes:
        system: ``linux``, ``windows`` or ``macos``.
        processor: ``x86_64`` or ``aarch64``.
        gpu: The name of the GPU that counts here, or an empty text.
        nvidia_driver: The version of NVIDIA's driver, ``580.65``; empty if there is none.
        has_amd: Whether there is an AMD GPU that the system computes with (ROCm).
    """

    system: str
    processor: str
    gpu: str = ""
    nvidia_driver: str = ""
    has_amd: bool = False

    @property
    def key(self) -> str:
        """The name of the platform in ``requirements/locks.json``."""
        return f"{self.system}-{self.processor}"

    @property
    def words(self) -> str:
        """The computer in words, for people."""
        gpu = f", {self.gpu}" if self.gpu else ""
        driver = f", driver {self.nvidia_driver}" if self.nvidia_driver else ""
        return f"{self.system} on {self.processor}{gpu}{driver}"


def named(system: str, processor: str) -> tuple[str, str]:
    """Return our names of what ``platform.system`` and ``platform.machine`` return."""
    ours = {"Darwin": "macos", "Windows": "windows"}.get(system, "linux")
    known = {"amd64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64"}
    return ours, known.get(processor.lower(), processor.lower())


def this_platform() -> Machine:
    """Return this computer without its GPU; takes no time."""
    system, processor = named(platform.system(), platform.machine())
    return Machine(system, processor)


def at_a_glance() -> Machine:
    """Return this computer with what the system says of its GPU without a program.

    On Windows, only ``detect`` finds out about a GPU.
    """
    machine = this_platform()
    if machine.system != "linux":
        return machine
    with contextlib.suppress(OSError):
        text = _NVIDIA_MODULE.read_text(errors="replace")
        if found := re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text):
            return replace(machine, gpu="NVIDIA GPU", nvidia_driver=found[1])
    return replace(machine, has_amd=_AMD_DEVICE.exists())


def detect() -> Machine:
    """Return this computer; asks NVIDIA's driver, which can take a second or two."""
    machine = this_platform()
    if machine.system == "macos":
        gpu = "Apple GPU" if machine.processor == "aarch64" else ""
        return Machine(machine.system, machine.processor, gpu)
    name, driver = _nvidia(machine.system)
    has_amd = machine.system == "linux" and not driver and _AMD_DEVICE.exists()
    return Machine(
        machine.system, machine.processor, name or ("AMD GPU" if has_amd else ""), driver, has_amd
    )


def parse_nvidia(text: str) -> tuple[str, str]:
    """Return name and driver version of the first GPU in what ``nvidia-smi`` has printed."""
    for line in text.splitlines():
        name, _, driver = line.rpartition(",")
        if name.strip() and re.fullmatch(r"\d+(\.\d+)+", driver.strip()):
            return name.strip(), driver.strip()
    return "", ""


def suggested_variant(machine: Machine) -> str:
    """Return the variant of PyTorch that suits a computer, a key of ``variants.LABELS``."""
    if machine.system == "macos" and machine.processor == "aarch64":
        return "apple"
    if machine.nvidia_driver and int(machine.nvidia_driver.split(".")[0]) >= LEAST_NVIDIA_DRIVER:
        return "cuda"
    return "rocm" if machine.has_amd else "cpu"


def _nvidia(system: str) -> tuple[str, str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "", ""
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            creationflags=_CREATE_NO_WINDOW if system == "windows" else 0,
        )
        return parse_nvidia(done.stdout)
    return "", ""
