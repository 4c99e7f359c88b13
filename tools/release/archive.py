# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's zip, with the same bytes for the same commit, and what it must not contain."""

from __future__ import annotations

import subprocess
import tarfile
import time
import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

MANIFEST = "blender_manifest.toml"
# The limit of extensions.blender.org is far higher; a person downloads this with each update.
MOST_BYTES = 12_000_000
# Folders and files of development, which no release contains.
UNWANTED = ("tests", "tools", "docs", "dist", "dev.py", "pyproject.toml", ".git", ".github", ".ci")

# What every entry of the zip has: made on Unix, a plain file that everybody may read.
_UNIX, _MODE = 3, 0o100644


class ReleaseError(Exception):
    """A release that must not be published; the message says why."""


def git(root: Path, *arguments: str) -> bytes:
    """Return what a git command prints.

    Raises:
        ReleaseError: It has failed.
    """
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True)
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]} failed: {done.stderr.decode().strip()}")
    return done.stdout


def check_out(root: Path, commit: str, folder: Path) -> int:
    """Write the files of a commit into a folder; what is not committed has no effect.

    Args:
        root: The checkout.
        commit: A commit, a tag or a branch.
        folder: An empty folder.

    Returns:
        The time of the commit, seconds since 1970.

    Raises:
        ReleaseError: There is no such commit.
    """
    packed = git(root, "archive", "--format=tar", commit)
    with tarfile.open(fileobj=BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
    return int(git(root, "log", "-1", "--format=%ct", commit))


def version_of(folder: Path) -> str:
    """Return the version in a folder's manifest."""
    return str(tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8"))["version"])


def make_equal(built: Path, path: Path, time_s: int) -> None:
    """Write a zip again so that only names and contents of its files decide its bytes.

    The order, times and modes of the entries are set; the compression is that of zlib, so another
    version of zlib may give other bytes.

    Args:
        built: The zip that Blender's builder has made.
        path: The file to write.
        time_s: The time of all entries, seconds since 1970.
    """
    stamp = time.gmtime(max(time_s, 315532800))[:6]  # a zip knows no time before 1980
    with (
        zipfile.ZipFile(built) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made,
    ):
        for name in sorted(entry.filename for entry in source.infolist() if not entry.is_dir()):
            entry = zipfile.ZipInfo(name, stamp)
            entry.create_system, entry.external_attr = _UNIX, _MODE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, source.read(name), compresslevel=9)


def check(path: Path) -> None:
    """Check the size and the names of a zip.

    Raises:
        ReleaseError: It is too large, or contains files of development.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ReleaseError(f"{path.name} has {size} bytes; at most {MOST_BYTES} are allowed")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    wrong = [name for name in names if name.split("/")[0] in UNWANTED or "__pycache__" in name]
    if wrong:
        raise ReleaseError(
            f"{path.name} contains {', '.join(wrong[:3])}; add a pattern to {MANIFEST}"
        )
