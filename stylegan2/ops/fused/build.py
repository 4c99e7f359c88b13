# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiling the fused operators, once for a machine.

The libraries have a plain C border and include neither Python's nor torch's headers, so that any
C++ compiler with OpenMP does, or CUDA's, in about two seconds.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

_FOLDER = Path(__file__).parent
_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
_TIMEOUT_S = 120.0
_WORK = "making-"

_GNU = ("-std=c++17", "-O3", "-shared", "-fPIC", "-fvisibility=hidden")
# No flag that would change what NaN and infinity mean.
_GNU_MATHS = ("-fno-math-errno", "-fno-trapping-math")
_GNU_VECTORS = {
    "AVX2": ("-mavx2", "-mfma"),
    "AVX512": ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx2", "-mfma"),
}
_MSVC = ("/nologo", "/std:c++17", "/O2", "/LD", "/EHsc", "/openmp")
_MSVC_VECTORS = {"AVX2": ("/arch:AVX2",), "AVX512": ("/arch:AVX512",)}
_CUDA = ("-std=c++17", "-O3", "-shared")
_CUDA_HOST = ("-Xcompiler", "-fPIC,-fvisibility=hidden")


class BuildError(Exception):
    """There is no compiler, or it failed; the message says which, in one line."""


def build(folder: Path, device: torch.device) -> Path:
    """Compile the library for a device, unless that was done before.

    Args:
        folder: for compiled libraries; made if it is not there.
        device: a CPU or a CUDA GPU.

    Returns:
        The library's file; its name is of its sources, the compiler's command, the system and
        torch's version.

    Raises:
        BuildError: see there.
    """
    if device.type == "cuda":
        return build_by(cuda_command(torch.cuda.get_device_capability(device)), "fused.cu", folder)
    if device.type == "cpu":
        return build_by(_cpu_command(), "fused.cpp", folder)
    raise BuildError(f"there are no fused operators for {device.type}")


def build_by(command: list[str], source: str, folder: Path) -> Path:
    """`build` by a certain compiler: its command without the files."""
    parts = [repr(command), platform.platform(), platform.machine(), torch.__version__]
    key = hashlib.sha256("\n".join(parts).encode())
    for path in (_FOLDER / source, *sorted(_FOLDER.glob("*.h"))):
        key.update(path.read_bytes())
    library = folder / f"fused-{key.hexdigest()[:24]}{_SUFFIX}"
    if library.is_file():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=folder) as work:
            made = Path(work) / f"fused{_SUFFIX}"
            output = [f"/Fe:{made}"] if _is_msvc(command[0]) else ["-o", str(made)]
            _run([*command, str(_FOLDER / source), *output], Path(work))
            # Another process may have been faster; then its file is replaced by its equal.
            os.replace(made, library)
    except OSError as error:
        raise BuildError(f"the fused operators were not built: {error}") from error
    return library


def cuda_command(capability: tuple[int, int]) -> list[str]:
    """CUDA's compiler and its flags, for GPUs of a compute capability.

    Raises:
        BuildError: it is not there.
    """
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    names = ["nvcc", *(str(Path(home, "bin", "nvcc")) for home in homes if home)]
    kind = "".join(map(str, capability))
    architecture = ("-gencode", f"arch=compute_{kind},code=sm_{kind}")
    host = () if sys.platform == "win32" else _CUDA_HOST
    return [_first_of(names, "CUDA"), *_CUDA, *architecture, *host]


def _cpu_command() -> list[str]:
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    if sys.platform == "win32":
        names.append("cl")
    if sys.platform == "darwin" and not _has_developer_tools():
        names.clear()
    found = _first_of(names, "C++")
    # What torch itself makes use of on this processor.
    vectors = torch.backends.cpu.get_cpu_capability()
    if _is_msvc(found):
        return [found, *_MSVC, *_MSVC_VECTORS.get(vectors, ())]
    return [found, *_GNU, *_GNU_MATHS, *_GNU_VECTORS.get(vectors, ()), *_openmp()]


def _has_developer_tools() -> bool:
    """Whether macOS's compiler is there: its command always is, and would ask to install it."""
    tool = shutil.which("xcode-select")
    if tool is None:
        return False
    asked = subprocess.run([tool, "-p"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return asked.returncode == 0


def _first_of(names: list[str], language: str) -> str:
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise BuildError(f"the fused operators were not built: there is no {language} compiler")
    return found


def _openmp() -> tuple[str, ...]:
    """The flags for OpenMP: on macOS with torch's own library, for the system has none."""
    if sys.platform != "darwin":
        return ("-fopenmp",)
    library = Path(torch.__file__).parent / "lib" / "libomp.dylib"
    return ("-Xpreprocessor", "-fopenmp", str(library))


def _remove_abandoned(folder: Path) -> None:
    """What a process left that ended while its compiler was at work."""
    for work in folder.glob(f"{_WORK}*"):
        if time.time() - work.stat().st_mtime > 2 * _TIMEOUT_S:
            shutil.rmtree(work, ignore_errors=True)


def _is_msvc(compiler: str) -> bool:
    return Path(compiler).stem.lower() == "cl"


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            # The compiler's own files as well: whatever ends this process, they are found here.
            env=os.environ | dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(folder)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            f"the fused operators were not built: {command[0]} took over {_TIMEOUT_S:.0f} s"
        ) from error
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        said = next((line for line in lines if "error" in line), lines[-1] if lines else "")
        raise BuildError(
            f"the fused operators were not built: {command[0]} failed with code "
            f"{done.returncode}: {said}"
        )
