# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the locks that the engine is installed from: ``python3 dev.py lock``.

It writes ``requirements/uv.lock``, ``requirements/engine-VARIANT.lock`` for each variant of PyTorch
and ``requirements/locks.json``, the sizes and Pythons for each platform. A variant whose packages
cannot be reached is named and left as it is. PyTorch for the CPU of Linux, for CUDA on Windows and
for ROCm is not in the usual package index; say where it is::

    python3 dev.py lock --torch cpu=FOLDER_OR_ADDRESS --torch rocm=...

An address is that of a page with links to wheels, as PyTorch's own index has one for each package
(``https://.../whl/rocm7.2/torch/``); ``--torch`` can be repeated for those that
PyTorch needs besides. Without ``--torch cuda=...`` the lock of CUDA has no Windows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, Request, url2pathname

from draggan_blender.installing import commands, packages, uv
from draggan_blender.installing.commands import Network
from draggan_blender.installing.downloads import Wanted, make_opener
from draggan_blender.installing.machine import this_platform
from draggan_blender.installing.places import Places
from draggan_blender.installing.problems import InstallError
from draggan_blender.installing.progress import Progress
from draggan_blender.installing.sizes import size_in_words
from draggan_blender.installing.variants import LABELS, read_lock

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"

# The Pythons of Blender 4.2 to 5.2, and those that Linux systems build Blender with. The first
# one that a variant has all packages for is the one that is downloaded.
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# Our platforms, and uv's names of them.
_PLATFORMS = {
    "linux-x86_64": "x86_64-unknown-linux-gnu",
    "linux-aarch64": "aarch64-unknown-linux-gnu",
    "windows-x86_64": "x86_64-pc-windows-msvc",
    "macos-aarch64": "aarch64-apple-darwin",
}
# The oldest macOS that PyTorch has wheels for.
_LEAST_MACOS = "14.0"


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of PyTorch.

    Attributes:
        torch: Lines that pin PyTorch; ``{version}`` is that of ``engine.txt``.
        systems: The systems that it is offered on.
        wider: The same for more systems, whose packages the usual index lacks: tried first where
            ``--torch`` says where they are.
    """

    torch: tuple[str, ...]
    systems: tuple[str, ...]
    wider: Variant | None = None


_VARIANTS = {
    "cpu": Variant(
        (
            "torch=={version}+cpu ; sys_platform == 'linux'",
            "torch=={version} ; sys_platform != 'linux'",
        ),
        ("linux", "windows", "macos"),
    ),
    "cuda": Variant(
        ("torch=={version} ; sys_platform == 'linux'",),
        ("linux",),
        Variant(
            (
                "torch=={version} ; sys_platform == 'linux'",
                "torch=={version}+cu130 ; sys_platform == 'win32'",
            ),
            ("linux", "windows"),
        ),
    ),
    "apple": Variant(("torch=={version} ; sys_platform == 'darwin'",), ("macos",)),
    "rocm": Variant(("torch=={version}+rocm7.2 ; sys_platform == 'linux'",), ("linux",)),
}


def variant_input(engine: str, variant: Variant) -> str:
    """Return ``engine.txt`` with the line of PyTorch replaced by those of a variant."""
    found = re.search(r"^torch==(\S+)$", engine, re.MULTILINE)
    if found is None:
        raise SystemExit("dev.py lock: engine.txt has no line torch==VERSION")
    lines = "\n".join(line.format(version=found[1]) for line in variant.torch)
    return engine[: found.start()] + lines + engine[found.end() :]


class Locker:
    """Makes locks with uv, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._env = commands.environment(
            os.environ, Network(), pythons=folder / "python", cache=folder / "cache"
        )
        self._env["MACOSX_DEPLOYMENT_TARGET"] = _LEAST_MACOS
        # Only what --torch says is added to the usual index: a lock must not depend on the
        # machine that it is made on.
        for name in ("UV_INDEX", "UV_FIND_LINKS"):
            self._env.pop(name, None)
        self._uv = self._get_uv()

    def _get_uv(self) -> Path:
        places = Places(self._folder)
        for path in (places.downloads, places.tools, places.scratch):
            path.mkdir(parents=True, exist_ok=True)
        with (self._folder / "uv.log").open("w") as log, open(os.devnull, "w") as nowhere:
            progress = Progress(nowhere, log)
            return uv.ensure_uv(places, REQUIREMENTS, this_platform(), self._env, progress)

    def compile(self, source: Path, out: Path, *options: str) -> str:
        """Run ``uv pip compile``; return an empty text, or why it has failed."""
        done = subprocess.run(
            [self._uv, "pip", "compile", "--generate-hashes", *options, "-o", out, source],
            env=self._env,
            cwd=self._folder,
            capture_output=True,
            text=True,
        )
        return "" if done.returncode == 0 else done.stderr.strip()

    def lock(self, requirements: str, out: Path, find_links: list[str]) -> str:
        """Write a universal lock; return an empty text, or why there is none."""
        source, made = self._folder / "input.txt", self._folder / "made.lock"
        source.write_text(requirements)
        made.unlink(missing_ok=True)
        links = [part for place in find_links for part in ("--find-links", place)]
        plain = ["--universal", "--python-version", _PYTHONS[0], "--no-header", "--no-annotate"]
        problem = self.compile(source, made, *plain, *links)
        if not problem:
            header = "# Made by: python3 dev.py lock. Do not edit.\n"
            out.write_text(header + made.read_text())
        return problem

    def wanted(self, lock: Path, platform: str, python: str, find_links: list[str]) -> list[Wanted]:
        """Return the files that a platform needs; empty if one of them does not exist."""
        out = self._folder / "pylock.toml"
        out.unlink(missing_ok=True)
        links = [part for place in find_links for part in ("--find-links", place)]
        target = ["--python-version", python, "--python-platform", _PLATFORMS[platform]]
        form = ["--no-deps", "--only-binary", ":all:", "--format", "pylock.toml", "--no-header"]
        if self.compile(lock, out, *form, *target, *links):
            return []
        try:
            return packages.read_pylock(out.read_text(), read_lock(lock))
        except InstallError:
            return []


class RemoteFile:
    """A file on a server, of which ``zipfile`` reads only the end."""

    def __init__(self, url: str, size: int, opener: OpenerDirector) -> None:
        self._url, self._size, self._opener, self._at = url, size, opener, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, min(self._size, base + offset))
        return self._at

    def read(self, count: int = -1) -> bytes:
        last = self._size if count < 0 else min(self._size, self._at + count)
        if last <= self._at:
            return b""
        request = Request(self._url, headers={"Range": f"bytes={self._at}-{last - 1}"})
        with self._opener.open(request, timeout=60) as answer:
            data: bytes = answer.read(last - self._at)
        self._at += len(data)
        return data


def unpacked_bytes(item: Wanted, opener: OpenerDirector, known: dict[str, int]) -> int:
    """Return the size of a wheel's files; asks a server only for the wheel's table of contents."""
    if item.name not in known:
        parts = urlsplit(item.url)
        is_local = parts.scheme == "file"
        remote = cast(IO[bytes], RemoteFile(item.url, item.size, opener))
        with zipfile.ZipFile(url2pathname(parts.path) if is_local else remote) as archive:
            known[item.name] = sum(entry.file_size for entry in archive.infolist())
    return known[item.name]


def facts_of(
    locker: Locker, variant: str, systems: tuple[str, ...], links: list[str], known: dict[str, int]
) -> dict[str, dict[str, object]]:
    """Return what ``locks.json`` says of a variant: an entry for each platform it works on."""
    lock, opener, facts = REQUIREMENTS / f"engine-{variant}.lock", make_opener(), {}
    for platform in _PLATFORMS:
        if platform.partition("-")[0] not in systems:
            continue
        found = {python: locker.wanted(lock, platform, python, links) for python in _PYTHONS}
        pythons = [python for python in _PYTHONS if found[python]]
        if not pythons:
            print(f"   {platform}: not all packages can be reached")
            continue
        wanted = found[pythons[0]]
        facts[platform] = {
            "pythons": pythons,
            "download_bytes": sum(item.size for item in wanted),
            "installed_bytes": sum(unpacked_bytes(item, opener, known) for item in wanted),
        }
        size = size_in_words(sum(item.size for item in wanted))
        print(f"   {platform}: {size}, Python {', '.join(pythons)}")
    return facts


def main() -> int:
    """Make the locks; returns 1 if one of them could not be made."""
    parser = argparse.ArgumentParser(prog="dev.py lock", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--torch",
        action="append",
        default=[],
        metavar="VARIANT=PLACE",
        help="a folder or page with wheels of PyTorch for a variant; repeatable",
    )
    parser.add_argument("--uv", metavar="VERSION", help="also pin another version of uv")
    options = parser.parse_args()
    places: dict[str, list[str]] = {name: [] for name in _VARIANTS}
    for text in options.torch:
        name, _, place = text.partition("=")
        if name not in places or not place:
            parser.error(f"--torch {text}: expected one of {', '.join(places)}, =, and a place")
        places[name].append(place)
    with tempfile.TemporaryDirectory(prefix="draggan-lock-") as folder:
        return make(Locker(Path(folder)), places, options.uv)


def make(locker: Locker, places: dict[str, list[str]], uv_version: str | None) -> int:
    """Make all locks and ``locks.json``; returns 1 if a variant was left as it was."""
    if uv_version:
        problem = locker.lock(f"uv=={uv_version}\n", REQUIREMENTS / "uv.lock", [])
        if problem:
            print(problem, file=sys.stderr)
            return 1
    path, known = REQUIREMENTS / "locks.json", dict[str, int]()
    table = json.loads(path.read_text()) if path.is_file() else {}
    engine, failed = (REQUIREMENTS / "engine.txt").read_text(), []
    for name, variant in _VARIANTS.items():
        print(f"== {LABELS[name]}", flush=True)
        tried = [variant.wider, variant] if variant.wider and places[name] else [variant]
        for chosen in filter(None, tried):
            source = variant_input(engine, chosen)
            problem = locker.lock(source, REQUIREMENTS / f"engine-{name}.lock", places[name])
            if not problem:
                table[name] = facts_of(locker, name, chosen.systems, places[name], known)
                path.write_text(json.dumps(table, indent=1) + "\n")
                break
            words = problem.splitlines()
            print(
                f"   not made for {', '.join(chosen.systems)}: {words[0]}",
                *words[-2:],
                sep="\n   ",
            )
        if problem or chosen is not tried[0]:
            failed.append(LABELS[name])
    if failed:
        names = ", ".join(failed)
        print(
            f"Left as before, or without a system: {names}. --torch says where their packages are."
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
