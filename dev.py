#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command for people who work on this project.

``demo`` and ``test`` set up everything on a machine that has only Python 3.11 or 3.13: they
create ``.venv`` in this file's folder, install the pinned packages of ``requirements/dev.txt``
(which include Blender, as the ``bpy`` module), and run. This file uses the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
DIST = ROOT / "dist"
# The Python versions that Blender's module is published for.
PYTHONS = ((3, 11), (3, 13))

# The lines of pip's output that are shown, shortened, while it works.
_PIP_STEP = re.compile(
    r"(?:Collecting |Processing (?:\S*[/\\])?)(?P<package>\w+(?:[.-][A-Za-z]\w*)*)"
    r"|Installing collected packages"
)
# pip prints this warning once per package for a folder that its configuration names and that
# is missing; it is not the cause of a failure and would hide the lines that are.
_PIP_NOISE = "is ignored: it is neither a file nor a directory"
_PIP_LINES_SHOWN = 15

# PyTorch leaves cores to the other suites. Where another process needs one of the cores, threads
# that wait for each other take longer than one thread alone. Results stay the same.
_FEW_THREADS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2)),
}

# The suite in Blender takes longest, so pytest leaves it a core.
_BEHIND = ("nice",) if shutil.which("nice") else ()

# The arguments of the processes that all of pytest's tests run in, which take about as long as each
# other. The last one has what is in no other.
_ENGINE = ("baking", "cli", "features", "inversion", "machine", "output", "serving", "solving")
_FIRST = [f"tests/engine/{name}" for name in _ENGINE]
PYTEST_PARTS = (_FIRST, ["tests", *(f"--ignore={folder}" for folder in _FIRST)])


class SetupError(Exception):
    """A problem that the person who runs this file has to solve; the message says how."""


def venv_python() -> Path:
    """Return the path of the interpreter of ``.venv``, which may not exist yet."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@contextlib.contextmanager
def phase(title: str) -> Iterator[None]:
    """Print the title of a phase before it starts, and its duration when it ends."""
    print(f"== {title} ...", flush=True)
    started_s = time.monotonic()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        print(f"== {title} ... {outcome} {time.monotonic() - started_s:.0f} s", flush=True)


def run(*command: object, env: dict[str, str] | None = None, output: IO[str] | None = None) -> None:
    """Run a command in the project's folder, with ``env`` added to this process's environment.

    Its output is shown, or written to ``output``.

    Raises:
        CalledProcessError: The command returned a non-zero exit code.
    """
    sys.stdout.flush()
    merged = {**os.environ, **(env or {})}
    subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=merged,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        check=True,
    )


def pip_install(python: Path, requirements: Path, log: Path) -> None:
    """Install a requirements file; write pip's output to a log, and its steps to the screen.

    Raises:
        SetupError: pip failed; the message has the last lines of its output and the log's path.
    """
    command = [python, "-u", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--progress-bar", "off", "-r", requirements]
    lines: list[str] = []
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if _PIP_NOISE in line:
                continue
            lines.append(line)
            if step := _PIP_STEP.match(line):
                name = step["package"]
                print(f"   Collecting {name}" if name else f"   {step[0]}", flush=True)
    if process.returncode:
        tail = "".join(lines[-_PIP_LINES_SHOWN:]).rstrip()
        raise SetupError(
            f"pip failed with exit code {process.returncode}. Its last lines:\n{tail}\n"
            f"All of its output is in {log}. Solve the problem and run the command again."
        )


def set_up() -> Path:
    """Create ``.venv``, or replace it if its requirements changed; return its interpreter.

    Raises:
        SetupError: This Python cannot make the virtual environment, or pip failed.
    """
    if sys.version_info[:2] not in PYTHONS:
        raise SetupError(
            "Python 3.11 or 3.13 is needed (Blender's module exists for these two only); this is "
            f"{sys.version_info.major}.{sys.version_info.minor} at {sys.executable}. "
            "Run dev.py with one of them, for example: python3.11 dev.py demo"
        )
    python, stamp = venv_python(), VENV / "requirements.stamp"
    wanted = hashlib.sha256(sys.version.encode())
    for name in ("engine.txt", "dev.txt"):
        wanted.update((ROOT / "requirements" / name).read_bytes())
    if python.exists() and stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return python
    with phase(f"Setting up {VENV.name} (a few minutes on the first run; the downloads are large)"):
        try:
            venv.create(VENV, clear=True, with_pip=True)
        except subprocess.CalledProcessError as error:
            raise SetupError(
                "This Python cannot make a virtual environment with pip in it. On Debian and "
                "Ubuntu, install the package python3-venv."
            ) from error
        pip_install(python, ROOT / "requirements" / "dev.txt", VENV / "pip.log")
        stamp.write_text(wanted.hexdigest())
    return python


def extension_tool(python: Path) -> tuple[Path, Path]:
    """Return Blender's program for extensions, and the file of the tags that it accepts.

    Raises:
        SetupError: The ``bpy`` package of ``python`` does not have them.
    """
    found = subprocess.run(
        [python, "-c", "import importlib.util as u; print(u.find_spec('bpy').origin)"],
        capture_output=True,
        text=True,
        check=True,
    )
    package = Path(found.stdout.strip()).parent
    tools = list(package.glob("*/scripts/**/bl_pkg/cli/blender_ext.py"))
    if len(tools) != 1:
        raise SetupError(
            f"One blender_ext.py was expected in {package}, but {len(tools)} were found."
        )
    scripts = tools[0].parents[3]
    return tools[0], scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"


def build(python: Path) -> Path:
    """Build the extension's zip with Blender's own builder, and return the zip's path.

    Raises:
        SetupError: The ``bpy`` package of ``python`` has no builder.
    """
    with phase("Building the extension's zip"):
        tool, tags = extension_tool(python)
        DIST.mkdir(exist_ok=True)
        folders = ("--source-dir", ROOT, "--output-dir", DIST)
        run(python, tool, "build", *folders, "--valid-tags", tags)
        return max(DIST.glob("draggan_blender-*.zip"), key=lambda path: path.stat().st_mtime)


def installed_blenders() -> list[str]:
    """Return the Blenders to test in: those in ``DRAGGAN_BLENDERS``, or ``blender`` on the PATH.

    ``DRAGGAN_BLENDERS`` is a list of names or paths, separated as in the PATH variable.
    """
    listed = os.environ.get("DRAGGAN_BLENDERS", "")
    if listed:
        return [item for item in listed.split(os.pathsep) if item]
    return ["blender"] if shutil.which("blender") else []


def at_once(*suites: Callable[[IO[str] | None], None]) -> None:
    """Call suites of tests, one more at a time than there are cores, because each often waits.

    Each is called with the file for its output: None for the first one, whose output is shown while
    it runs; that of another is shown when it and those before it have ended.

    Raises:
        CalledProcessError: A test failed; all suites have ended.
    """
    workers = (os.cpu_count() or 1) + 1
    with ThreadPoolExecutor(workers) as pool, contextlib.ExitStack() as files:
        running: list[tuple[Future[None], IO[str] | None]] = []
        for suite in suites:
            output: IO[str] | None = None
            if running:
                output = files.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
            running.append((pool.submit(suite, output), output))
        for future, output in running:
            future.exception()  # wait for its end
            if output is not None:
                output.seek(0)
                shutil.copyfileobj(output, sys.stdout)
                sys.stdout.flush()
    for future, _output in running:
        future.result()


def test_in_blender(
    python: Path, archive: Path, blender: str | None, output: IO[str] | None = None
) -> None:
    """Install the zip in one Blender, or in the ``bpy`` module (None), and run ``tests/blender``.

    Raises:
        SetupError: There is no such Blender.
        CalledProcessError: A test failed.
    """
    script = ROOT / "tests" / "blender" / "run.py"
    args = ("--zip", archive, "--engine-python", python)
    if blender is not None and not shutil.which(blender):
        raise SetupError(f"There is no Blender called {blender}; give its name or its path.")
    with (
        phase(f"Running tests/blender in {blender or 'the bpy module'}"),
        tempfile.TemporaryDirectory(prefix="draggan-user-") as user,
    ):
        env = {"BLENDER_USER_RESOURCES": user, **_FEW_THREADS}
        if blender is None:
            run(python, script, *args, env=env, output=output)
            return
        flags = ("-b", "--factory-startup", "--python-exit-code", "1", "-P")
        run(blender, *flags, script, "--", *args, env=env, output=output)


def run_pytest(
    python: Path, arguments: list[str], output: IO[str] | None = None, *, coverage: bool = False
) -> None:
    """Run pytest, and measure the coverage if ``coverage`` is set (see ``pyproject.toml``).

    The floor applies to the whole test suite. With further arguments, which usually select some
    of the tests, the coverage is only shown.

    Raises:
        CalledProcessError: A test failed, or the coverage is below the floor.
    """
    pytest = [*_BEHIND, python, *(("-m", "coverage", "run") if coverage else ()), "-m", "pytest"]
    title = " ".join(["Running pytest", *arguments]) + (", measuring coverage" if coverage else "")
    with phase(title):
        if coverage:
            # Not by "coverage erase", which leaves the damaged files of killed processes.
            shutil.rmtree(VENV / "coverage", ignore_errors=True)
            (VENV / "coverage").mkdir(exist_ok=True)
        run(*pytest, *arguments, env=_FEW_THREADS, output=output)
    if coverage:
        with phase("Checking the coverage"):
            run(python, "-m", "coverage", "combine", "--quiet")
            run(python, "-m", "coverage", "report", *(("--fail-under=0",) if arguments else ()))


def command_demo(options: argparse.Namespace) -> None:
    """Drag parts of the built-in model in the bpy module, and print where the results are."""
    python = set_up()
    archive = build(python)
    with phase("Running the demo"):
        run(python, ROOT / "tools" / "demo.py", "--zip", archive, "--out", options.out)


def command_test(options: argparse.Namespace) -> None:
    """Run every test that can run here, or only ``tests/blender`` in the named Blenders."""
    python = set_up()
    archive = build(python)
    blenders: list[str | None] = [*options.blender] if options.blender else []
    suites: list[Callable[[IO[str] | None], None]] = []
    if not blenders:
        blenders = [None, *installed_blenders()]
        # Coverage is that of one process, and chosen tests are usually few.
        is_one = options.coverage or options.rest
        for part in [options.rest] if is_one else PYTEST_PARTS:
            suites.append(functools.partial(run_pytest, python, part, coverage=options.coverage))
    for blender in blenders:
        suites.append(functools.partial(test_in_blender, python, archive, blender))
    at_once(*suites)


def command_check(options: argparse.Namespace) -> None:
    """Check format, lint and types; with ``--fix``, write the changes of the first two."""
    python = set_up()
    with phase("Checking format, lint and types"):
        run(python, "-m", "ruff", "format", *(() if options.fix else ("--check",)), ".")
        run(python, "-m", "ruff", "check", *(("--fix",) if options.fix else ()), ".")
        run(python, "-m", "mypy")


def command_build(_options: argparse.Namespace) -> None:
    """Build the extension's zip and print its path."""
    print(build(set_up()))


def command_bench(options: argparse.Namespace) -> None:
    """Measure speed (``step``, the default; ``start``, ``live``, ``bake``) or quality."""
    run(set_up(), "-m", "tools.bench", *options.rest)


def command_fuzz(options: argparse.Namespace) -> None:
    """Give changed files to every reader, for a minute each; ``--guided`` by what they reach."""
    python = set_up()
    if "--guided" in options.rest:
        with phase("Installing atheris"):
            pip_install(python, ROOT / "requirements" / "fuzz.txt", VENV / "pip-fuzz.log")
    with phase("Fuzzing"):
        run(python, "-m", "tests.fuzz.every", *options.rest)


def command_lock(options: argparse.Namespace) -> None:
    """Make the locks that the engine is installed from, as far as their packages are reached."""
    run(set_up(), "-m", "tools.locks", *options.rest)


def command_release(options: argparse.Namespace) -> None:
    """Make the files of a release from a commit, the same bytes each time; uploads nothing."""
    run(set_up(), "-m", "tools.release", *options.rest)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options: ``command`` is the function to call, ``rest`` what it passes on."""
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(
        required=True, metavar="demo|test|check|build|bench|fuzz|lock|release"
    )

    def add(name: str, function: object, add_help: bool = True) -> argparse.ArgumentParser:
        text = (function.__doc__ or "").replace("``", "")
        command = commands.add_parser(name, help=text, description=text, add_help=add_help)
        command.set_defaults(command=function)
        return command

    demo = add("demo", command_demo)
    demo.add_argument("--out", type=Path, default=ROOT / "demo_out", help="folder of the results")
    test = add("test", command_test)
    test.add_argument("--blender", action="append", help="a Blender's name or path; repeatable")
    test.add_argument(
        "--coverage",
        action="store_true",
        help="measure what pytest covers, and fail below the floor in pyproject.toml",
    )
    test.epilog = "Further arguments are passed to pytest."
    add("check", command_check).add_argument("--fix", action="store_true", help="write the changes")
    add("build", command_build)
    add("bench", command_bench, add_help=False)  # --help is passed on as well
    add("fuzz", command_fuzz, add_help=False)
    add("lock", command_lock, add_help=False)
    add("release", command_release, add_help=False)
    options, rest = parser.parse_known_args(argv)
    options.rest = rest
    takes_rest = (command_test, command_bench, command_fuzz, command_lock, command_release)
    if rest and options.command not in takes_rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.command is command_test and options.blender and (options.coverage or rest):
        parser.error("--blender runs without pytest: leave out --coverage and pytest's arguments")
    return options


def main() -> int:
    """Run the command; return the exit code: 0, 1 for a failure, 130 for Ctrl-C."""
    options = parse()
    try:
        options.command(options)
    except SetupError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        command = shlex.join(str(part) for part in error.cmd)
        print(f"dev.py: exit code {error.returncode} of the command: {command}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
