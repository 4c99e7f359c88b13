# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of *Copy Report*: versions, system and last lines of a log; no personal paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_LINES = 40
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")


def make_report(facts: Iterable[tuple[str, str]], log: str, *, home: Path, user: str) -> str:
    """Return a report that can be shown to anybody.

    Args:
        facts: Labels and values.
        log: The content of the log.
        home: The person's folder, which is written as ``~``.
        user: The person's name in this system, which is left out of other paths.
    """
    lines = [f"{label}: {value}" for label, value in facts]
    lines += ["", "Last lines of the log:", *log.splitlines()[-_LINES:]]
    return without_personal("\n".join(lines), home=home, user=user)


def without_personal(text: str, *, home: Path, user: str) -> str:
    """Return a text without the person's folder, name, and the passwords in addresses."""
    text = _CREDENTIALS.sub("***@", text)
    plain = str(home)
    for form in {plain, plain.replace("\\", "/"), plain.replace("\\", "\\\\")}:
        if len(form) > 1:
            text = re.sub(re.escape(form), "~", text, flags=re.IGNORECASE)
    # Only as a part of a path: a user called "torch" would make a report that says nothing.
    return re.sub(rf"(?<=[/\\]){re.escape(user)}(?=[/\\]|$)", "USER", text) if user else text


def read_log(path: Path | None) -> str:
    """Return the content of a log; an empty text if there is none."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def newest_log(folder: Path) -> Path | None:
    """Return the newest log of an installation."""
    return max(folder.glob("install-*.log"), key=lambda path: path.name, default=None)
