#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one command for people who work on this project.

``demo`` and ``test`` do all the set-up on a machine with nothing but Python 3.11 or 3.13: they
make ``.venv`` beside this file, install the pinned packages of ``requirements/dev.txt`` (Blender
among them, as the ``bpy`` module), and run. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
DIST = ROOT / "dist"
#: Blender ships as a module for these Pythons only.
PYTHONS = ((3, 11), (3, 13))


class SetupError(Exception):
    """Something that the person at the keyboard has to put right."""


def venv_python() -> Path:
    """The interpreter of ``.venv``, whether or not it exists yet."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(*command: object, env: dict[str, str] | None = None) -> None:
    """Run a command in the project's folder; its failure is ours (CalledProcessError)."""
    sys.stdout.flush()
    merged = {**os.environ, **(env or {})}
    subprocess.run([str(part) for part in command], cwd=ROOT, env=merged, check=True)


def set_up() -> Path:
    """Make or renew ``.venv``; returns its interpreter. A second call costs milliseconds."""
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
    print(f"Setting up {VENV} (a few minutes, once; the downloads are large)")
    try:
        venv.create(VENV, clear=True, with_pip=True)
    except subprocess.CalledProcessError as error:
        raise SetupError(
            "this Python cannot make a virtual environment with pip in it; on Debian and Ubuntu "
            "the package python3-venv is missing"
        ) from error
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "-q")
    run(*pip, "-r", ROOT / "requirements" / "dev.txt")
    stamp.write_text(wanted.hexdigest())
    return python


def build(python: Path) -> Path:
    """Build the extension's zip with Blender's own builder and check it; returns the zip."""
    found = subprocess.run(
        [python, "-c", "import importlib.util as u; print(u.find_spec('bpy').origin)"],
        capture_output=True,
        text=True,
        check=True,
    )
    builders = list(
        Path(found.stdout.strip()).parent.glob("*/scripts/**/bl_pkg/cli/blender_ext.py")
    )
    if len(builders) != 1:
        raise SetupError(f"one blender_ext.py expected in the bpy package, {len(builders)} found")
    scripts = builders[0].parents[3]
    tags = scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"
    DIST.mkdir(exist_ok=True)
    run(
        python,
        builders[0],
        "build",
        "--source-dir",
        ROOT,
        "--output-dir",
        DIST,
        "--valid-tags",
        tags,
    )
    return max(DIST.glob("draggan_blender-*.zip"), key=lambda path: path.stat().st_mtime)


def installed_blenders() -> list[str]:
    """Blenders to test in beside the module: DRAGGAN_BLENDERS (a path list), else the PATH."""
    listed = os.environ.get("DRAGGAN_BLENDERS", "")
    if listed:
        return [item for item in listed.split(os.pathsep) if item]
    return ["blender"] if shutil.which("blender") else []


def test_in_blender(python: Path, archive: Path, blender: str | None) -> None:
    """Run ``tests/blender`` against the built zip: in one Blender, or in the module (None)."""
    print(f"\n== tests/blender in {blender or 'the bpy module'}")
    script = ROOT / "tests" / "blender" / "run.py"
    args = ("--zip", archive, "--engine-python", python)
    with tempfile.TemporaryDirectory(prefix="draggan-user-") as user:
        env = {"BLENDER_USER_RESOURCES": user}
        if blender is None:
            run(python, script, *args, env=env)
            return
        if not shutil.which(blender):
            raise SetupError(f"no such Blender: {blender}")
        flags = ("-b", "--factory-startup", "--python-exit-code", "1", "-P")
        run(blender, *flags, script, "--", *args, env=env)


def command_demo(options: argparse.Namespace) -> None:
    """Run the main job in the bpy module and say where its results are."""
    python = set_up()
    run(python, ROOT / "tools" / "demo.py", "--zip", build(python), "--out", options.out)


def command_test(options: argparse.Namespace) -> None:
    """Run every test that can run here, or only ``tests/blender`` in the named Blenders."""
    python = set_up()
    archive = build(python)
    if options.blender:
        for blender in options.blender:
            test_in_blender(python, archive, blender)
        return
    run(python, "-m", "pytest", *options.rest)
    test_in_blender(python, archive, None)
    for blender in installed_blenders():
        test_in_blender(python, archive, blender)


def command_check(options: argparse.Namespace) -> None:
    """Format, lint and types; with --fix, format and lint write their changes."""
    python = set_up()
    run(python, "-m", "ruff", "format", *(() if options.fix else ("--check",)), ".")
    run(python, "-m", "ruff", "check", *(("--fix",) if options.fix else ()), ".")
    run(python, "-m", "mypy")


def command_build(_options: argparse.Namespace) -> None:
    """Build the extension's zip."""
    print(build(set_up()))


def command_bench(options: argparse.Namespace) -> None:
    """Time drag steps (`step`, the default) or measure how well we drag (`drag`)."""
    run(set_up(), "-m", "tools.bench", *options.rest)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line: ``command`` is the function to call, ``rest`` what it passes on."""
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="demo|test|check|build|bench")

    def add(name: str, function: object, add_help: bool = True) -> argparse.ArgumentParser:
        text = (function.__doc__ or "").strip()
        command = commands.add_parser(name, help=text, description=text, add_help=add_help)
        command.set_defaults(command=function)
        return command

    demo = add("demo", command_demo)
    demo.add_argument("--out", type=Path, default=ROOT / "demo_out", help="folder of the results")
    test = add("test", command_test)
    test.add_argument("--blender", action="append", help="a Blender's name or path; repeatable")
    test.epilog = "Further arguments go to pytest."
    add("check", command_check).add_argument("--fix", action="store_true", help="write the changes")
    add("build", command_build)
    add("bench", command_bench, add_help=False)  # --help, too, is passed on
    options, rest = parser.parse_known_args(argv)
    options.rest = rest
    if rest and options.command not in (command_test, command_bench):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def main() -> int:
    """Run the command; returns the exit code: 0, 1 for a failure, 130 for Ctrl-C."""
    options = parse()
    try:
        options.command(options)
    except SetupError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"dev.py: failed ({error.returncode}): {error.cmd[0]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
