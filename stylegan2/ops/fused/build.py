# SPDX-License-Identifier: GPL-3.0-or-later
"""Build of the fused operators: Ninja compiles and links them in a folder that it finds again.

The libraries have a plain C border and include neither Python's nor torch's headers, so a C++
compiler with OpenMP, or CUDA's compiler, is enough and takes about two seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import nvrtc
from .errors import NOT_BUILT, BuildError
from .locking import try_to_lock
from .private import close_content, empty, private_folder, read_plain, write_private

_FOLDER = Path(__file__).parent
_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
_OBJECT = ".obj" if sys.platform == "win32" else ".o"
_TIMEOUT_S = 120.0
# How long Ninja has to end its compilers before it is killed.
_GRACE_S = 5.0
# Processes that hold it build in its folder.
_LOCK = "lock"
# What is built is for this user alone, whatever the umask.
_ONLY_THIS_USER: dict[str, Any] = {} if sys.platform == "win32" else {"umask": 0o077}

_GNU = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden")
# No flag that would change what NaN and infinity mean.
_GNU_MATHS = ("-fno-math-errno", "-fno-trapping-math")
_GNU_VECTORS = {
    "AVX2": ("-mavx2", "-mfma"),
    "AVX512": (
        "-mavx512f",
        "-mavx512vl",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx2",
        "-mfma",
        "-mprefer-vector-width=512",  # otherwise GCC uses half of the width
    ),
}
_MSVC = ("/nologo", "/std:c++17", "/O2", "/EHsc", "/openmp")
_MSVC_VECTORS = {"AVX2": ("/arch:AVX2",), "AVX512": ("/arch:AVX512",)}
_CUDA = ("-std=c++17", "-O3")
_CUDA_HOST = ("-Xcompiler", "-fPIC,-fvisibility=hidden")


@dataclass(frozen=True)
class Target:
    """A library to build: its sources and the two commands, which lack the names of the files.

    Attributes:
        name: The device and what of it the flags are for; part of the build folder's name.
        sources: Names of the source files, which are next to this module.
        compile: Path of the compiler, and the flags that make an object of a source.
        link: Path of the compiler, and the flags that make the library of the objects.
    """

    name: str
    sources: tuple[str, ...]
    compile: tuple[str, ...]
    link: tuple[str, ...]


def build(folder: Path, device: torch.device) -> Path:
    """Build the library for a device; compile only what changed since the last build.

    Args:
        folder: Folder for the builds of all devices; created if it is missing. Only this user may
            be able to write to it.
        device: A CPU or a CUDA GPU.

    Returns:
        The library, or the cubin that NVRTC has made. Its name contains a hash: the file of a name
        never changes, so that a process can have it loaded while another process builds.

    Raises:
        BuildError: There are no fused operators for this device, Ninja or the compiler is missing,
            the build failed, or someone else could change the folder.
    """
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if nvrtc.is_wanted():
            return nvrtc.build_cubin(folder, capability, nvrtc.find_library())
        return build_by(cuda_target(capability), folder)
    if device.type == "cpu":
        return build_by(_cpu_target(), folder)
    raise BuildError(f"there are no fused operators for {device.type}")


def build_by(target: Target, folder: Path) -> Path:
    """Build a target; arguments, result and errors are those of ``build``."""
    # A home folder may be shared by machines: what differs between them must not share a build.
    machine = "\n".join((platform.platform(), platform.machine(), torch.__version__))
    name = f"{target.name}-{_digest(machine.encode())}"
    ninja = _ninja()
    try:
        work = private_folder(private_folder(folder) / name)
        library = work / f"fused{_SUFFIX}"
        with _locked(work / _LOCK) as lock:
            if not _is_as_built(library):
                _remove_built(work)
            had_objects = any(work.glob(f"*{_OBJECT}"))
            try:
                return _built(target, library, ninja, lock)
            except BuildError:
                # What a crash or a full disk has left of an earlier build may be why.
                if not had_objects:
                    raise
                _remove_built(work)
                return _built(target, library, ninja, lock)
    except OSError as error:
        raise BuildError(f"{NOT_BUILT}: {error}") from error


def _built(target: Target, library: Path, ninja: str, lock: int) -> Path:
    """Build a target in its folder, which is locked, and return the library of a fixed name."""
    _copy_sources(target, library.parent)
    _write_build_file(target, library)
    _run(ninja, target.compile[0], library.parent, lock)
    return _published(library)


def _is_as_built(library: Path) -> bool:
    """Return whether Ninja's library is missing, or has the content that it was built with."""
    content, hash = read_plain(library), read_plain(_hash_path(library))
    if content is None:
        return not os.path.lexists(library)
    return hash == hashlib.sha256(content).hexdigest().encode()


def _hash_path(library: Path) -> Path:
    return library.with_name(f"{library.name}.sha256")


def _remove_built(work: Path) -> None:
    """Remove everything from a build folder except the lock, and the libraries of a fixed name.

    Another process may have one of these loaded; their notes stay as well.
    """
    for path in work.iterdir():
        if path.name == _LOCK or path.name.startswith("fused-"):
            continue
        if path.is_dir() and not path.is_symlink():
            empty(path)
            path.rmdir()
        else:
            path.unlink()


def cuda_target(capability: tuple[int, int]) -> Target:
    """Return the target for GPUs of a compute capability.

    Raises:
        BuildError: CUDA's compiler is missing.
    """
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    names = ["nvcc", *(str(Path(home, "bin", "nvcc")) for home in homes if home)]
    found = _first_of(names, "CUDA")
    kind = "".join(map(str, capability))
    architecture = ("-gencode", f"arch=compute_{kind},code=sm_{kind}")
    host = () if sys.platform == "win32" else _CUDA_HOST
    return Target(
        name=f"cuda-sm_{kind}",
        sources=("fused.cu",),
        compile=(found, *_CUDA, *architecture, *host),
        link=(found, "-shared", *architecture),
    )


def _cpu_target() -> Target:
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    if sys.platform == "win32":
        names.append("cl")
    if sys.platform == "darwin" and not _has_developer_tools():
        names.clear()
    found = _first_of(names, "C++")
    # The instructions that torch itself uses on this processor.
    vectors = torch.backends.cpu.get_cpu_capability()
    name, sources = f"cpu-{vectors}", ("fused.cpp", "maps.cpp", "wide.cpp", "patches.cpp")
    if _is_msvc(found):
        compile = (found, *_MSVC, *_MSVC_VECTORS.get(vectors, ()))
        return Target(name, sources, compile, link=(found, "/nologo", "/LD"))
    compile_openmp, link_openmp = ["-fopenmp"], "-fopenmp"
    if sys.platform == "darwin":
        # The system has no OpenMP; torch brings it.
        compile_openmp = ["-Xpreprocessor", "-fopenmp"]
        link_openmp = str(Path(torch.__file__).parent / "lib" / "libomp.dylib")
    compile = (found, *_GNU, *_GNU_MATHS, *_GNU_VECTORS.get(vectors, ()), *compile_openmp)
    return Target(name, sources, compile, link=(found, "-shared", link_openmp))


def _has_developer_tools() -> bool:
    """Return whether macOS has a compiler: its command always exists, and would ask to install."""
    tool = shutil.which("xcode-select")
    if tool is None:
        return False
    asked = subprocess.run([tool, "-p"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return asked.returncode == 0


def _first_of(names: list[str], language: str) -> str:
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise BuildError(f"{NOT_BUILT}: there is no {language} compiler")
    return os.path.abspath(found)


def _is_msvc(compiler: str) -> bool:
    return Path(compiler).stem.lower() == "cl"


def _ninja() -> str:
    try:
        from ninja import BIN_DIR
    except ImportError as error:
        raise BuildError(f"{NOT_BUILT}: the Python package ninja is missing") from error
    found = shutil.which("ninja", path=BIN_DIR)
    if found is None:
        raise BuildError(f"{NOT_BUILT}: the package ninja has no program for this machine")
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold the lock of a build folder; yields the descriptor of its file."""
    end = time.monotonic() + _TIMEOUT_S
    with path.open("ab") as file:
        while not try_to_lock(file.fileno()):
            if time.monotonic() > end:
                raise BuildError(f"{NOT_BUILT}: {path} was locked for over {_TIMEOUT_S:.0f} s")
            time.sleep(0.02)
        yield file.fileno()


def _copy_sources(target: Target, work: Path) -> None:
    """Copy the sources and headers that differ from those of the last build.

    Ninja compares times. An update can bring files that are older than the last build, and two
    installed versions can use one folder: the time of a copy is when its content changed here.
    """
    for source in (*(_FOLDER / name for name in target.sources), *_FOLDER.glob("*.h")):
        copy, content = work / source.name, source.read_bytes()
        if not copy.is_file() or copy.read_bytes() != content:
            copy.write_bytes(content)


def _write_build_file(target: Target, library: Path) -> None:
    """Write ``build.ninja``: one object per source, and the library of the objects.

    All files are named relative to the build folder, so that its path does not matter.
    """
    compiler = target.compile[0]
    state = os.stat(compiler)
    # Ninja compiles again when a command changes. A macro that nothing reads makes an upgrade of
    # the compiler such a change.
    identity = f"{os.path.realpath(compiler)} {state.st_size} {state.st_mtime_ns}"
    macro = f"-DFUSED_COMPILER={_digest(os.fsencode(identity))}"
    compile, link = _quoted((*target.compile, macro)), _quoted(target.link)
    if _is_msvc(compiler):
        compile, link = f"{compile} /showIncludes /c $in /Fo$out", f"{link} $in /Fe$out"
        headers = "  deps = msvc"
    else:
        compile, link = f"{compile} -MD -MF $out.d -c $in -o $out", f"{link} $in -o $out"
        headers = "  depfile = $out.d\n  deps = gcc"
    text = f"rule compile\n  command = {compile}\n{headers}\nrule link\n  command = {link}\n"
    objects = ""
    for source in target.sources:
        text += f"build {source}{_OBJECT}: compile {source}\n"
        objects += f" {source}{_OBJECT}"
    text += f"build {library.name}: link{objects}\n"
    library.with_name("build.ninja").write_bytes(text.encode(errors="surrogateescape"))


def _quoted(command: tuple[str, ...]) -> str:
    """Return a command for a rule: quoted for the shell, or on Windows for the program."""
    joined = subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
    return joined.replace("$", "$$")


def _run(ninja: str, compiler: str, work: Path, lock: int) -> None:
    """Have Ninja build what is out of date in a folder.

    Raises:
        BuildError: The build failed or took too long.
    """
    temporary = work / "temp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(exist_ok=True)
    # The compiler's own temporary files as well: the next build removes what a killed one left.
    # The relative name is for nvcc, which fails if the path contains a dollar sign.
    place = str(temporary) if sys.platform == "win32" else temporary.name
    variables = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), place)
    # Microsoft's compiler lists headers in its user's language; Ninja expects English.
    variables["VSLANG"] = "1033"
    with subprocess.Popen(
        [ninja, "--quiet"],
        cwd=work,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # If this process is killed, the folder stays locked until its compilers have ended.
        pass_fds=() if sys.platform == "win32" else (lock,),
        **_ONLY_THIS_USER,
    ) as process:
        try:
            output, _ = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise BuildError(f"{NOT_BUILT}: {compiler} took over {_TIMEOUT_S:.0f} s") from error
    if process.returncode:
        said = _first_error(output.decode(errors="replace"), ninja, compiler, process.returncode)
        raise BuildError(f"{NOT_BUILT}: {said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Ninja together with its compilers."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True)
    else:
        process.terminate()  # Ninja ends its compilers and removes what they had begun to write.
    try:
        process.communicate(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _first_error(output: str, ninja: str, compiler: str, code: int) -> str:
    """Return one line: which program failed, its code, and the first error that it printed."""
    # After ``FAILED: `` come the rest of its line, the command, and what the command printed.
    before, failed, after = output.partition("FAILED: ")
    program, lines = ninja, before.strip().splitlines()
    if failed:
        lines = after.split(failed)[0].strip().splitlines()[2:]
        program, lines = compiler, [line for line in lines if not line.startswith("ninja: ")]
    said = next((line for line in lines if "error" in line), lines[-1] if lines else "")
    return f"{program} failed with code {code}: {said}"


def _published(library: Path) -> Path:
    """Return a copy that nothing overwrites: another process may have this one loaded.

    The copy is compared with what was built now, so a damaged one is replaced. The hash of Ninja's
    library is written beside it, for the next build.
    """
    content = library.read_bytes()
    with library.open("rb+") as file:
        os.fsync(file.fileno())
    close_content(library.parent)
    write_private(_hash_path(library), hashlib.sha256(content).hexdigest().encode())
    published = library.with_stem(f"fused-{_digest(content)}")
    if read_plain(published) != content:
        write_private(published, content)
    return published
