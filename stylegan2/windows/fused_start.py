# SPDX-License-Identifier: GPL-3.0-or-later
"""Having the fused operators compiled in the background, and using them once they are proven.

Nobody has to wait for them: what begins before they are ready is computed without them. What must
come out the same whenever it begins waits for them.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import torch

from ..ops.fused import BuildError, FusedOperators, build
from .fused_proof import difference, speed_up

SWITCH = "DRAGGAN_FUSED"
"""The environment variable that switches them off, with the value 0."""

_LOG = logging.getLogger(__name__)
_WORTH_IT = 1.1
"""How many times as fast as torch's they must be on a GPU, where nobody has tried them."""


class _Preparation:
    """The operators of one device, being made by a thread."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.operators: FusedOperators | None = None
        # No daemon: a process must not end while one of its threads is inside torch.
        self.thread = threading.Thread(target=self._run, args=(folder, device))

    def _run(self, folder: Path, device: torch.device) -> None:
        try:
            operators = FusedOperators(build(folder, device), device)
            problem = difference(operators) or _slowness(operators)
        except (BuildError, OSError, AttributeError, RuntimeError) as error:
            _LOG.info("drags run without fused operators: %s", str(error).replace("\n", " "))
            return
        if problem is not None:
            _LOG.warning("drags run without fused operators: %s", problem)
            return
        self.operators = operators
        _LOG.info("drags run with fused operators")


_PREPARATIONS: dict[torch.device, _Preparation] = {}


def start_fused_operators(folder: Path, device: torch.device) -> None:
    """Compile, load and test a device's operators in a thread, once in a process.

    Args:
        folder: for compiled libraries, kept from one session to the next.
    """
    if os.environ.get(SWITCH) != "0" and device not in _PREPARATIONS:
        _PREPARATIONS[device] = preparation = _Preparation(folder, device)
        preparation.thread.start()


def fused_operators(device: torch.device, *, wait: bool = False) -> FusedOperators | None:
    """A device's operators, if they were started and are ready.

    Args:
        wait: until they are, or have failed; about two seconds, once for a machine.
    """
    preparation = _PREPARATIONS.get(device)
    if preparation is None:
        return None
    if wait:
        preparation.thread.join()
    return preparation.operators


def _slowness(operators: FusedOperators) -> str | None:
    if operators.device.type == "cpu":
        return None
    found = speed_up(operators)
    _LOG.info("fused operators are %.2f times as fast as torch's", found)
    return None if found >= _WORTH_IT else "they are hardly faster than torch's on this GPU"
