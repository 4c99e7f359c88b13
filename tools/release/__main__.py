# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a release of a commit: ``python3 dev.py release``.

It writes into a folder, which can be served as it is::

    draggan_blender-0.1.0.zip        the extension, the same bytes for the same commit
    draggan_blender-0.1.0.cdx.json   what the engine installs (CycloneDX)
    stable/, preview/                repositories for Blender: index.json, index.html and the zip
    SHA256SUMS                       of all these files; check them with: sha256sum -c SHA256SUMS

A release of a version with a suffix leaves ``stable/`` as it is. Nothing is uploaded.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import dev

from . import archive, components, repository
from .archive import ReleaseError

ROOT = Path(__file__).resolve().parents[2]
SUMS = "SHA256SUMS"


def blender_ext(*arguments: object) -> None:
    """Run a command of Blender's tool for extensions.

    Raises:
        ReleaseError: It has failed; its output is shown.
    """
    program, _ = dev.extension_tool(Path(sys.executable))
    done = subprocess.run([sys.executable, str(program), *map(str, arguments)])
    if done.returncode:
        raise ReleaseError(f"Blender's {arguments[0]} has failed")


def build(commit: str, out: Path) -> tuple[Path, Path, str]:
    """Build the zip and the parts list of a commit.

    Args:
        commit: A commit, a tag or a branch of this checkout.
        out: The folder to write into; made if it is missing.

    Returns:
        The zip, the parts list, and the version.

    Raises:
        ReleaseError: It must not be published.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="draggan-release-") as name:
        source, built = Path(name, "source"), Path(name, "built.zip")
        source.mkdir()
        time_s = archive.check_out(ROOT, commit, source)
        version = archive.version_of(source)
        _, tags = dev.extension_tool(Path(sys.executable))
        where = ("--source-dir", source, "--output-filepath", built, "--valid-tags", tags)
        blender_ext("build", *where)
        path = out / f"draggan_blender-{version}.zip"
        archive.make_equal(built, path, time_s)
        archive.check(path)
        blender_ext("validate", path, "--valid-tags", tags)
        listed = out / f"draggan_blender-{version}.cdx.json"
        packages = components.read_locks(source / "requirements")
        listed.write_text(components.bill(packages, version, time_s), encoding="utf-8")
    return path, listed, version


def write_sums(folder: Path, paths: list[Path]) -> Path:
    """Write the SHA-256 of files, in the form that ``sha256sum -c`` reads in the folder."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(paths)
    ]
    sums = folder / SUMS
    sums.write_text("".join(lines), encoding="utf-8", newline="\n")
    return sums


def main() -> int:
    """Make a release; returns 1 if it must not be published."""
    parser = argparse.ArgumentParser(prog="dev.py release", description=__doc__.split("\n")[0])
    parser.add_argument("--commit", default="HEAD", help="what is released; the default is HEAD")
    parser.add_argument(
        "--out", type=Path, default=dev.DIST / "release", help="the folder to write into"
    )
    options = parser.parse_args()
    out: Path = options.out
    try:
        path, listed, version = build(options.commit, out)
        for channel in repository.channels_of(version):
            repository.write(path, out / channel, blender_ext)
    except ReleaseError as error:
        print(f"dev.py release: {error}", file=sys.stderr)
        return 1
    channels = (repository.STABLE, repository.PREVIEW)
    served = [file for channel in channels for file in (out / channel).glob("*.*")]
    write_sums(out, [path, listed, *served])
    size = path.stat().st_size
    print(f"Version {version}, {size} bytes, for {', '.join(repository.channels_of(version))}")
    print(f"Serve {out}, and give people the address of stable/index.html or preview/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
