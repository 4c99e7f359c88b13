# SPDX-License-Identifier: GPL-3.0-or-later
"""The static repositories, one for each channel: a zip, ``index.json`` and a page, to be served.

Blender's own ``server-generate`` makes the index and the page. A version with a suffix, such as
``0.2.0-beta.1``, is for the channel *preview*; one without is for *stable* and for *preview*, so
that whoever follows previews comes to the release as well.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

STABLE, PREVIEW = "stable", "preview"
_PAGE = Path(__file__).with_name("page.html")


def channels_of(version: str) -> tuple[str, ...]:
    """Return the channels that a version is published in."""
    return (PREVIEW,) if "-" in version else (STABLE, PREVIEW)


def write(archive: Path, folder: Path, blender_ext: Callable[..., None]) -> list[Path]:
    """Replace what a channel offers.

    Args:
        archive: The zip of the new version.
        folder: The channel's folder; made if it is missing. It has one version at a time, because
            Blender refuses an index with two versions of one extension.
        blender_ext: Runs a command of Blender's tool for extensions with the given arguments.

    Returns:
        The files of the channel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.zip"):
        old.unlink()
    shutil.copyfile(archive, folder / archive.name)
    blender_ext("server-generate", "--repo-dir", folder, "--html", "--html-template", _PAGE)
    return [folder / archive.name, folder / "index.json", folder / "index.html"]
