# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ninja builds again for the fused operators, and what may happen in the meantime."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import ninja
import pytest
import torch

from stylegan2.ops.fused import BuildError
from stylegan2.ops.fused.build import Target, build_by

ROOT = Path(__file__).parents[3]
BUILDING = sys.modules["stylegan2.ops.fused.build"]  # the package has a function of this name
COMPILER = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), "")
pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler"),
    pytest.mark.skipif(sys.platform == "win32", reason="stand-ins for compilers are scripts"),
]
TARGET = Target(
    name="small",
    sources=("one.cpp", "two.cpp"),
    compile=(COMPILER, "-fPIC"),
    link=(COMPILER, "-shared"),
)
FILES = {
    "one.cpp": '#include "one.h"\n#ifndef ADDED\n#define ADDED 0\n#endif\n'
    'extern "C" int one() { return ONE + ADDED; }\n',
    "two.cpp": '#include "two.h"\nextern "C" int two() { return TWO; }\n',
    "one.h": "#define ONE 1\n",
    "two.h": "#define TWO 2\n",
}


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the sources of the operators with two small ones, each with a header."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(BUILDING, "_FOLDER", folder)
    return folder


def compiler(folder: Path, code: str) -> Path:
    """Write a compiler that runs some Python first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "compiler"
    start = "import os, signal, sys, time\nfrom pathlib import Path\nadded = []\n"
    end = f"os.execv({COMPILER!r}, [{COMPILER!r}, *added, *sys.argv[1:]])"
    path.write_text(f"#!{sys.executable}\n{start}{code}\n{end}\n")
    path.chmod(0o755)
    return path


def by(compiler: Path, target: Target = TARGET) -> Target:
    def with_it(command: tuple[str, ...]) -> tuple[str, ...]:
        return (str(compiler), *command[1:])

    return dataclasses.replace(target, compile=with_it(target.compile), link=with_it(target.link))


def values(library: Path) -> tuple[int, int]:
    loaded = ctypes.CDLL(str(library))
    return loaded.one(), loaded.two()


def made(library: Path) -> dict[str, int]:
    """Return when each file that Ninja makes was made."""
    paths = [*library.parent.glob("*.o"), library.with_stem("fused")]
    return {path.name: path.stat().st_mtime_ns for path in paths}


def changed(before: dict[str, int], library: Path) -> set[str]:
    return {name for name, when in made(library).items() if before[name] != when}


def plan(work: Path) -> str:
    """Return what Ninja would do in a build folder."""
    command: list[str | Path] = [Path(ninja.BIN_DIR, "ninja"), "-n", "-v"]
    done = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True)
    return done.stdout


def test_nothing_changed(sources: Path, tmp_path: Path) -> None:
    library = build_by(TARGET, tmp_path)
    before = made(library)
    assert len(before) == 3
    for path in sources.iterdir():
        path.touch()  # their content is the same
    assert build_by(TARGET, tmp_path) == library
    assert changed(before, library) == set()
    assert "no work to do" in plan(library.parent)


@pytest.mark.parametrize("when", [None, 0])
def test_a_header_that_changed(sources: Path, tmp_path: Path, when: int | None) -> None:
    first = build_by(TARGET, tmp_path)
    before, content = made(first), first.stat()
    assert values(first) == (1, 2)
    (sources / "one.h").write_text("#define ONE 11\n")
    if when is not None:  # an update whose files are older than what was built
        os.utime(sources / "one.h", (when, when))
    second = build_by(TARGET, tmp_path)
    assert changed(before, second) == {"one.cpp.o", second.with_stem("fused").name}
    assert values(second) == (11, 2)
    # The library that this process has loaded was left alone.
    assert first.stat() == content
    assert values(first) == (1, 2)


def test_flags_that_changed(sources: Path, tmp_path: Path) -> None:
    library = build_by(TARGET, tmp_path)
    before = made(library)
    other = dataclasses.replace(TARGET, compile=(*TARGET.compile, "-DADDED=5"))
    library = build_by(other, tmp_path)
    assert changed(before, library) == set(before)
    assert values(library) == (6, 2)
    before = made(library)
    library = build_by(dataclasses.replace(other, link=(*TARGET.link, "-lm")), tmp_path)
    assert changed(before, library) == {library.with_stem("fused").name}


def test_a_compiler_that_changed(sources: Path, tmp_path: Path) -> None:
    target = by(compiler(tmp_path / "bin", "added = ['-DADDED=1']"))
    library = build_by(target, tmp_path)
    before = made(library)
    assert build_by(target, tmp_path) == library
    assert changed(before, library) == set()
    compiler(tmp_path / "bin", "added = ['-DADDED=2']")  # as long as the old one
    library = build_by(target, tmp_path)
    assert changed(before, library) == set(before)
    assert values(library) == (3, 2)


def test_sources_are_compiled_in_parallel(sources: Path, tmp_path: Path) -> None:
    code = (
        "if '-c' in sys.argv:\n"
        f"    begun = Path({str(tmp_path)!r}, 'begun')\n"
        "    begun.mkdir(exist_ok=True)\n"
        "    (begun / sys.argv[-3]).touch()\n"
        "    end = time.monotonic() + 30\n"
        "    while len(os.listdir(begun)) < 2 and time.monotonic() < end: time.sleep(0.01)\n"
        "    if time.monotonic() >= end: sys.exit('error: alone')"
    )
    assert values(build_by(by(compiler(tmp_path / "bin", code)), tmp_path)) == (1, 2)


def test_machines_that_share_a_folder_do_not_share_a_build(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {build_by(TARGET, tmp_path).parent}
    folders.add(build_by(dataclasses.replace(TARGET, name="other"), tmp_path).parent)
    monkeypatch.setattr(torch, "__version__", "0.1")
    folders.add(build_by(TARGET, tmp_path).parent)
    monkeypatch.setattr(platform, "platform", lambda: "another")
    folders.add(build_by(TARGET, tmp_path).parent)
    assert len(folders) == 4


def test_microsofts_compiler(sources: Path, tmp_path: Path) -> None:
    """Build by a stand-in that has its name and options and lists headers as it does."""
    code = (
        "*flags, source, out = sys.argv[1:]\n"
        "makes_object = '/showIncludes' in flags\n"
        "assert makes_object == ('/c' in flags) == ('/LD' not in flags)\n"
        "assert out[:3] == ('/Fo' if makes_object else '/Fe')\n"
        "for name in ['one.h', 'two.h'] if makes_object else []:\n"
        "    if name[:3] == source[:3]: print('Note: including file:  ', name)\n"
        "inputs = [source] if makes_object else [flags.pop(), source]\n"
        "sys.argv[1:] = ['-c' if makes_object else '-shared', '-fPIC', *inputs, '-o', out[3:]]\n"
        "sys.stdout.flush()"
    )
    cl = compiler(tmp_path / "bin", code).rename(tmp_path / "bin" / "cl")
    target = dataclasses.replace(TARGET, compile=(str(cl),), link=(str(cl), "/LD"))
    library = build_by(target, tmp_path)
    before = made(library)
    assert values(library) == (1, 2)
    (sources / "two.h").write_text("#define TWO 22\n")
    library = build_by(target, tmp_path)
    assert changed(before, library) == {"two.cpp.o", library.with_stem("fused").name}
    assert values(library) == (1, 22)


@pytest.mark.parametrize(
    "name", ["a  space ", "$in $$ $", "C: drive", "é 雪", 'it\'s "so"', "a&b;c|(d)#%*?", "-x"]
)
def test_names_of_folders(sources: Path, tmp_path: Path, name: str) -> None:
    target = by(compiler(tmp_path / name / "bin", ""))
    library = build_by(target, tmp_path / name)
    assert values(library) == (1, 2)
    assert "no work to do" in plan(library.parent)


def test_a_folder_named_relative_to_this_process(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert values(build_by(TARGET, Path("relative"))) == (1, 2)


def process(folder: Path, sources: Path, target: Target) -> subprocess.Popen[str]:
    """Start another process that builds the target and prints the library's path."""
    code = (
        "import sys; from pathlib import Path; from stylegan2.ops.fused.build import *\n"
        "sys.modules['stylegan2.ops.fused.build']._FOLDER = Path(sys.argv[1])\n"
        f"print(build_by({target!r}, Path(sys.argv[2])), flush=True)"
    )
    command = [sys.executable, "-c", code, str(sources), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_processes_that_build_at_once(sources: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    code = f"open({str(calls)!r}, 'a').write('called\\n')\ntime.sleep(0.3)"
    target = by(compiler(tmp_path / "bin", code))
    processes = [process(tmp_path, sources, target) for _ in range(2)]
    printed = [each.communicate(timeout=120)[0] for each in processes]
    assert len(set(printed)) == 1
    assert values(Path(printed[0].strip())) == (1, 2)
    assert len(calls.read_text().splitlines()) == 3  # two objects and a library


def test_a_process_that_was_killed(sources: Path, tmp_path: Path) -> None:
    """The next build waits for its compilers, and does not stumble over what they left."""
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    slow = (
        "if '-c' in sys.argv:\n"
        "    (Path(os.environ['TMPDIR']) / 'left').touch()\n"
        "    Path(sys.argv[-1]).write_text('half an object')\n"
        f"    Path({str(begun)!r}).touch()\n"
        f"    time.sleep(1)\n    Path({str(ended)!r}).touch()\n    raise SystemExit(1)"
    )
    path = compiler(tmp_path / "bin", slow)
    with process(tmp_path, sources, by(path)) as killed:
        wait_for(begun.exists)
        killed.kill()
        compiler(tmp_path / "bin", "")
        library = build_by(by(path), tmp_path)
        assert ended.exists()
    assert values(library) == (1, 2)
    assert not list((library.parent / "temp").iterdir())
    assert "no work to do" in plan(library.parent)


@pytest.mark.parametrize(
    "left",
    [{"one.cpp.o": b"half"}, {".ninja_log": b"# ninja log v7\nhal"}, {".ninja_deps": b"# ninjade"}],
)
def test_what_was_half_written(sources: Path, tmp_path: Path, left: dict[str, bytes]) -> None:
    work = build_by(TARGET, tmp_path).parent
    (sources / "one.h").write_text("#define ONE 7\n")
    for name, content in left.items():
        (work / name).write_bytes(content)
    (work / "one.h").write_text("#defi")
    (work / "build.ninja").write_text("rule comp")
    assert values(build_by(TARGET, tmp_path)) == (7, 2)


def test_a_compiler_that_hangs_is_ended(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compiler(tmp_path / "bin", "time.sleep(60)")
    with monkeypatch.context() as impatient:
        impatient.setattr(BUILDING, "_TIMEOUT_S", 1.0)
        with pytest.raises(BuildError, match=r"compiler took over 1 s$"):
            build_by(by(path), tmp_path)
    compiler(tmp_path / "bin", "")
    # The compilers would hold the lock of the folder.
    start = time.monotonic()
    assert values(build_by(by(path), tmp_path)) == (1, 2)
    assert time.monotonic() - start < 30


def test_a_compiler_that_does_not_end_is_given_up(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += f"Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    path = compiler(tmp_path / "bin", code)
    target = dataclasses.replace(by(path), sources=("one.cpp",))
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr(BUILDING, "_TIMEOUT_S", 1.0)
            impatient.setattr(BUILDING, "_GRACE_S", 0.2)
            with pytest.raises(BuildError, match=r"compiler took over 1 s$"):
                build_by(target, tmp_path)
            with pytest.raises(BuildError, match=r"lock was locked for over 1 s$"):
                build_by(target, tmp_path)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    compiler(tmp_path / "bin", "")
    assert build_by(target, tmp_path).is_file()


def test_a_build_waits_for_the_lock(sources: Path, tmp_path: Path) -> None:
    work = build_by(TARGET, tmp_path).parent
    results: list[Path] = []
    thread = threading.Thread(target=lambda: results.append(build_by(TARGET, tmp_path)))
    with BUILDING._locked(work / "lock"):
        thread.start()
        time.sleep(0.2)
        assert not results
    thread.join()
    assert len(results) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('note\\na.h: error: 1\\na.h: error: 2'); sys.exit(3)", "code 3: a.h: error: 1"),
        ("print('out of memory'); sys.exit(4)", "code 4: out of memory"),
        ("sys.exit('-shared' in sys.argv and 'ld: error: 1')", "code 1: ld: error: 1"),
    ],
)
def test_the_first_error_is_reported(sources: Path, tmp_path: Path, code: str, said: str) -> None:
    path = compiler(tmp_path / "an error: in its name", code)
    with pytest.raises(BuildError) as caught:
        build_by(by(path), tmp_path)
    assert str(caught.value) == f"the fused operators were not built: {path} failed with {said}"


def test_an_error_of_ninja_is_reported(sources: Path, tmp_path: Path) -> None:
    target = dataclasses.replace(TARGET, sources=("one.cpp", "one.cpp"))
    with pytest.raises(
        BuildError, match=r"ninja failed with code 1: ninja: error: build\.ninja:\d"
    ):
        build_by(target, tmp_path)


def test_without_ninja(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ninja, "BIN_DIR", str(tmp_path))
    with pytest.raises(BuildError, match="the package ninja has no program for this machine"):
        build_by(TARGET, tmp_path)
    monkeypatch.setitem(sys.modules, "ninja", None)
    with pytest.raises(BuildError, match="the Python package ninja is missing"):
        build_by(TARGET, tmp_path)
