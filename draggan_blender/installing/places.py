# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the installed engine is: the folders and files in the extension's user folder.

An environment is used once ``engine.json`` names it. That file is replaced as a whole after the
environment was verified, so an installation that ends early leaves the engine before it in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

# The longest path inside an environment's site-packages; measured for PyTorch 2.13: 135.
LONGEST_INSIDE = 140
# Windows without long paths refuses longer ones.
WINDOWS_LONGEST = 259


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of the engine's installation.

    Attributes:
        user: The folder that Blender gives the extension for its own files.
    """

    user: Path

    @property
    def engine(self) -> Path:
        """The folder of all that the installer writes except logs."""
        return self.user / "engine"

    @property
    def record(self) -> Path:
        """The file that names the environment in use."""
        return self.engine / "engine.json"

    @property
    def lock(self) -> Path:
        """The file that is locked while an installer works."""
        return self.engine / "installing.lock"

    @property
    def environments(self) -> Path:
        """The folder of the environments: the one in use, and one that is being made."""
        return self.engine / "env"

    @property
    def downloads(self) -> Path:
        """The folder of the downloaded packages, kept for repairs and bundles."""
        return self.engine / "downloads"

    @property
    def tools(self) -> Path:
        """The folder of the program uv."""
        return self.engine / "tools"

    @property
    def pythons(self) -> Path:
        """The folder of the Python that uv has downloaded."""
        return self.engine / "python"

    @property
    def scratch(self) -> Path:
        """The folder of what is needed during an installation only."""
        return self.engine / "scratch"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.user / "logs"

    def uv(self, system: str) -> Path:
        """Return the path of the program uv."""
        return self.tools / ("uv.exe" if system == "windows" else "uv")


def python_in(environment: Path, system: str) -> Path:
    """Return the interpreter of an environment, which may not exist."""
    inner = ("Scripts", "python.exe") if system == "windows" else ("bin", "python")
    return environment.joinpath(*inner)


def longest_path(environment: PurePath) -> int:
    """Return the number of characters of the longest path in an environment on Windows."""
    return len(str(environment)) + len("\\Lib\\site-packages\\") + LONGEST_INSIDE
