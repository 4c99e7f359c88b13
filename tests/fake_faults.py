# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of the fake engine.

``--fault NAME`` or ``--fault NAME=VALUE`` (repeatable) selects one:

===================  ===============================================================
``slow_start=S``     sends its hello S seconds late
``slow_ready=S``     is ready S seconds late
``silent``           does not connect
``wrong_token``      sends a hello with another token, then hangs
``wrong_version``    sends a hello with another protocol version
``garbage_first``    sends random bytes before the hello, then hangs
``garbage``          sends random bytes after the welcome
``huge_header``      announces a header of 2 GB after the welcome
``startup_failed``   reports that it cannot work
``end_after_hello``  ends directly after the hello
``crash_at_step=N``  crashes at step N of a drag, or at frame N of a bake or a blended
                     sequence, with an error in its log
``hang_at_step=N``   stops doing or reading anything there
``half_frame=N``     ends there in the middle of a message
``flood=N``          sends N previews of 1024 x 1024 (16 MB each) at every step
``lose_handle=N``    reports that a drag has lost the handle of its Nth pair
``fail``             every request but load_model fails, with an error in its log
``refuse_end``       ignores Shutdown, closed input, a closed socket and SIGTERM
===================  ===============================================================
"""

from __future__ import annotations

import os
import sys
import time
from typing import NoReturn


class Faults:
    """The faults that were selected on the command line."""

    def __init__(self, options: list[str]) -> None:
        pairs = [option.partition("=") for option in options]
        self._values = {name: float(value or 1) for name, _, value in pairs}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def at(self, name: str, step: int) -> bool:
        """Return whether a fault is due at this step."""
        return self._values.get(name) == step

    def value(self, name: str) -> float:
        """Return the value of a fault: 1 if none was given, 0 if it was not selected."""
        return self._values.get(name, 0.0)


def end(code: int = 0) -> NoReturn:
    """End at once, as the real engine does when its parent has ended."""
    sys.stderr.flush()
    os._exit(code)


def hang() -> NoReturn:
    """Do nothing for ever."""
    while True:
        time.sleep(60)
