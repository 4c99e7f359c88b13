# SPDX-License-Identifier: GPL-3.0-or-later
"""Compilation of the kernels of ``fused.cu`` by NVRTC, the compiler in PyTorch's CUDA packages.

Nothing needs to be installed for it, and no GPU is needed to compile. The result is a cubin, which
``driver`` loads. It was compiled here for all architectures of ``ARCHITECTURES``, but its kernels
have never run on a GPU; so ``build`` uses them only if the variable ``SWITCH`` asks for it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

import torch

from .errors import NOT_BUILT, BuildError
from .private import private_folder, write_private

# The environment variable that turns NVRTC on if its value is 1.
SWITCH = "DRAGGAN_NVRTC"
# What the tests compile for: Turing, Ampere (two), Ada, Hopper, Blackwell.
ARCHITECTURES = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0))

_FOLDER = Path(__file__).parent
_SOURCE = "fused.cu"
_HEADERS = ("border.h", "elements.h")
_LOG_LINES = 3
_BUILTINS = "nvrtc-builtins64_*.dll" if sys.platform == "win32" else "libnvrtc-builtins.so.*"


def is_wanted() -> bool:
    """Return whether the environment turns NVRTC on."""
    return os.environ.get(SWITCH) == "1"


def options_for(capability: tuple[int, int]) -> list[str]:
    """Return the options of the compiler for GPUs of a compute capability."""
    major, minor = capability
    return [f"--gpu-architecture=sm_{major}{minor}", "--std=c++17"]


def candidates(packages: Path, torch_folder: Path, system: str) -> list[Path]:
    """Return where NVRTC may be, the newest version first.

    Args:
        packages: The ``site-packages`` of this Python, which has NVIDIA's packages in ``nvidia``.
        torch_folder: The folder of torch, which has the library itself on Windows.
        system: ``sys.platform``.
    """
    if system == "win32":
        found = [
            *torch_folder.glob("lib/nvrtc64_*.dll"),
            *packages.glob("nvidia/*/bin/nvrtc64_*.dll"),
            *packages.glob("nvidia/*/bin/*/nvrtc64_*.dll"),
        ]
    else:
        found = [
            *packages.glob("nvidia/*/lib/libnvrtc.so.*"),
            *torch_folder.glob("lib/libnvrtc*.so*"),
        ]
    kept = [path for path in found if "builtins" not in path.name and ".alt" not in path.name]
    return sorted(kept, key=lambda path: (_version_in(path.name), str(path)), reverse=True)


def _version_in(name: str) -> tuple[int, ...]:
    """Return the numbers in the name of a library: 13 of ``libnvrtc.so.13``."""
    words = name.replace("nvrtc64_", " ").replace(".", " ").replace("_", " ").replace("-", " ")
    return tuple(int(word) for word in words.split() if word.isdigit())


def find_library() -> Path:
    """Return the NVRTC that came with torch.

    Raises:
        BuildError: There is none, as with PyTorch for the CPU.
    """
    folder = Path(torch.__file__).parent
    found = candidates(folder.parent, folder, sys.platform)
    if not found:
        raise BuildError(f"{NOT_BUILT}: PyTorch came without NVRTC, which its CUDA packages have")
    return found[0]


class Compiler:
    """NVRTC, loaded from a file."""

    def __init__(self, library: Path) -> None:
        """Load the library.

        Raises:
            BuildError: It cannot be loaded, or is no NVRTC.
        """
        try:
            # NVRTC looks for this one by its bare name; it finds what is loaded already.
            for builtins in sorted(library.parent.glob(_BUILTINS)):
                if ".alt" not in builtins.name:
                    ctypes.CDLL(str(builtins))
            self._nvrtc = ctypes.CDLL(str(library))
            major, minor = c_int(), c_int()
            self._nvrtc.nvrtcVersion(byref(major), byref(minor))
            self._nvrtc.nvrtcGetErrorString.restype = c_char_p
        except (OSError, AttributeError) as error:
            raise BuildError(f"{NOT_BUILT}: {library.name} cannot be loaded: {error}") from error
        self.version = f"{major.value}.{minor.value}"

    def compile(self, source: str, headers: dict[str, str], options: list[str]) -> bytes:
        """Return the cubin of a source.

        Args:
            source: The text of the source.
            headers: The text of each header by the name that it is included by.
            options: The options of the compiler.

        Raises:
            BuildError: The compiler has refused it; the message has its first errors.
        """
        program, count = c_void_p(), len(headers)
        texts = (c_char_p * count)(*(text.encode() for text in headers.values()))
        names = (c_char_p * count)(*(name.encode() for name in headers))
        created = self._nvrtc.nvrtcCreateProgram(
            byref(program), source.encode(), _SOURCE.encode(), count, texts, names
        )
        self._require(created, "")
        try:
            words = (c_char_p * len(options))(*(option.encode() for option in options))
            compiled = self._nvrtc.nvrtcCompileProgram(program, len(options), words)
            self._require(compiled, self._log(program))
            return self._bytes(program, "CUBIN")
        finally:
            self._nvrtc.nvrtcDestroyProgram(byref(program))

    def _log(self, program: c_void_p) -> str:
        text = self._bytes(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if "error" in line]
        return "; ".join(lines[:_LOG_LINES])

    def _bytes(self, program: c_void_p, what: str) -> bytes:
        size = c_size_t()
        self._require(getattr(self._nvrtc, f"nvrtcGet{what}Size")(program, byref(size)), "")
        data = ctypes.create_string_buffer(size.value)
        self._require(getattr(self._nvrtc, f"nvrtcGet{what}")(program, data), "")
        return data.raw

    def _require(self, code: int, detail: str) -> None:
        if code:
            said = self._nvrtc.nvrtcGetErrorString(code).decode(errors="replace")
            more = f" ({detail})" if detail else ""
            raise BuildError(f"{NOT_BUILT}: NVRTC {self.version} failed with {said}{more}")


def build_cubin(folder: Path, capability: tuple[int, int], library: Path) -> Path:
    """Return the cubin of ``fused.cu`` for a compute capability; compile it if it is not there.

    Args:
        folder: The folder of all builds; created if it is missing.
        capability: That of the GPU.
        library: NVRTC.

    Returns:
        A file whose name has the hash of the sources, the options and the compiler's version.

    Raises:
        BuildError: It cannot be compiled or written.
    """
    compiler, options = Compiler(library), options_for(capability)
    try:
        source = (_FOLDER / _SOURCE).read_text(encoding="utf-8")
        headers = {name: (_FOLDER / name).read_text(encoding="utf-8") for name in _HEADERS}
        parts = (compiler.version, *options, source, *headers.values())
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
        name = f"fused-sm_{capability[0]}{capability[1]}-{digest}.cubin"
        path = private_folder(folder) / name
        if not path.is_file():
            write_private(path, compiler.compile(source, headers, options))
    except OSError as error:
        raise BuildError(f"{NOT_BUILT}: {error}") from error
    return path
