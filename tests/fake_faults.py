# SPDX-License-Identifier: GPL-3.0-or-later
"""How the fake engine misbehaves.

``--fault NAME`` or ``--fault NAME=VALUE`` (repeatable) makes it misbehave:

===================  ==============================================================
``slow_start=S``     says hello S seconds late
``slow_ready=S``     is ready S seconds late
``silent``           never connects
``wrong_token``      says hello with another token, then waits
``wrong_version``    says hello with another protocol version
``garbage_first``    sends noise in place of the hello
``garbage``          sends noise after the welcome
``huge_header``      announces a header of 2 GB after the welcome
``startup_failed``   says that it cannot work at all
``end_after_hello``  ends right after the hello
``crash_at_step=N``  dies at step N of a drag, or the Nth frame of a bake, with a last word in
                     its log
``hang_at_step=N``   stops doing or reading anything there
``half_frame=N``     dies there in the middle of a message
``flood=N``          sends N previews of 1024 x 1024 (16 MB each) at every step
``fail``             every request but load_model ends as failed, and the log says so
``refuse_end``       ignores Shutdown, closed input, closed socket and SIGTERM
===================  ==============================================================
"""

from __future__ import annotations

import os
import sys
import time
from typing import NoReturn


class Faults:
    """What was asked for on the command line."""

    def __init__(self, options: list[str]) -> None:
        pairs = [option.partition("=") for option in options]
        self._values = {name: float(value or 1) for name, _, value in pairs}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def at(self, name: str, step: int) -> bool:
        """Whether ``name`` is due at this step."""
        return self._values.get(name) == step

    def value(self, name: str) -> float:
        """The value given, or 0."""
        return self._values.get(name, 0.0)


def end(code: int = 0) -> NoReturn:
    """End at once, as the real engine does when its parent is gone."""
    sys.stderr.flush()
    os._exit(code)


def hang() -> NoReturn:
    """Do nothing any more."""
    while True:
        time.sleep(60)
