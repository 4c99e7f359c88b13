# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages for people: what they link to exists, and their pictures are whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


_FOLDERS = ("docs", "stylegan2", "tools", "tests", "draggan_blender", "extras", ".github")


def _found(*suffixes: str) -> list[Path]:
    """Return the project's files with these suffixes."""
    below = (path for name in _FOLDERS for path in (ROOT / name).rglob("*"))
    return sorted(path for path in (*ROOT.iterdir(), *below) if path.suffix in suffixes)


PAGES, PICTURES = _found(".md"), _found(".png", ".jpg", ".gif")


def _anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have on the usual hosts."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {one.strip().replace(" ", "-") for one in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_links_to_exists(page: Path) -> None:
    for link in map("".join, _LINK.findall(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue  # an address
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), link


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_picture_is_whole(picture: Path) -> None:
    with Image.open(picture) as image:
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            image.load()
