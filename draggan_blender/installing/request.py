# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender asks the installer's process for, as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

MODES = ("install", "remove", "save_bundle", "check")


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """A request.

    Attributes:
        mode: One of ``MODES``. ``install`` also repairs: it makes a new environment.
        root: The folder that holds ``draggan_blender``, ``engine`` and ``requirements``.
        user: The folder that Blender gives the extension for its own files.
        variant: ``cpu``, ``cuda``, ``rocm`` or ``apple``; empty for the one that suits.
        index: The package index that replaces the usual one; empty for the usual one.
        proxy: The proxy; empty for that of the environment.
        bundle: The folder of a bundle: to install from, or to write.
        python: The Python of the person's own to check.
        online: Whether Blender may use the internet.
        keep_old: Whether an engine may be running in the environment in use, so that it has to
            stay until the next installation.
    """

    mode: str
    root: str
    user: str
    variant: str = ""
    index: str = ""
    proxy: str = ""
    bundle: str = ""
    python: str = ""
    online: bool = False
    keep_old: bool = False

    def to_line(self) -> str:
        """Return the request as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> InstallRequest:
        """Read ``to_line``.

        Raises:
            ValueError: The line is not a request.
        """
        try:
            request = cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"not a request: {error}") from None
        if request.mode not in MODES:
            raise ValueError(f"the mode must be one of {', '.join(MODES)}, not {request.mode!r}")
        return request

    @property
    def requirements(self) -> Path:
        """The folder of the locks."""
        return Path(self.root) / "requirements"
