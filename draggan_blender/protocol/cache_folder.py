# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform's folder for caches, in which both processes have a folder."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def home_folder() -> Path | None:
    """Return the user's home folder; None in a container whose user has none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def cache_folder() -> Path:
    """Return our folder in the user's cache folder; it may be missing.

    A user without a home folder, as in the container of a farm, has it among the temporary files.
    """
    chosen = {"win32": "LOCALAPPDATA", "darwin": ""}.get(sys.platform, "XDG_CACHE_HOME")
    base = os.environ.get(chosen, "")
    if base:
        return Path(base) / "draggan"
    home = home_folder()
    if home is None:
        user = f"-{os.getuid()}" if sys.platform != "win32" else ""
        return Path(tempfile.gettempdir()) / f"draggan{user}"
    inside = {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(sys.platform, ".cache")
    return home / inside / "draggan"
