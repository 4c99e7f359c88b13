# SPDX-License-Identifier: GPL-3.0-or-later
"""Compilation and test of the fused operators in a background thread.

No caller has to wait: work that begins before the operators are ready runs without them. Work whose
results must not depend on when it begins waits for them (``wait=True``).
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import torch

from ..ops.fused import FusedOperators, build, noted, private_folder
from .fused_proof import difference, speed_up

# The environment variable that turns the fused operators off if its value is 0.
SWITCH = "DRAGGAN_FUSED"

_LOG = logging.getLogger(__name__)
# The least speed-up over torch at which a GPU uses them; the speed is measured on that GPU.
_LEAST_SPEED_UP = 1.1


class _Preparation:
    """The operators of one device and the thread that makes them.

    Attributes:
        operators: The operators; None until they are ready, and if they failed.
        thread: The thread that compiles, loads and tests them.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.operators: FusedOperators | None = None
        # Not a daemon thread: a process must not end while one of its threads runs torch code.
        self.thread = threading.Thread(target=self._run, args=(folder, device))

    def _run(self, folder: Path, device: torch.device) -> None:
        try:
            # Other things of this user are in the folder above, so it is closed, but not emptied.
            private_folder(folder.parent, is_emptied=False)
            library = build(folder, device)
            with noted(library):
                operators = FusedOperators(library, device)
                problem = difference(operators) or _slowness(operators)
        except Exception as error:  # the root of a thread: drags run without them
            _LOG.info("drags run without fused operators: %s", str(error).replace("\n", " "))
            return
        if problem is not None:
            _LOG.warning("drags run without fused operators: %s", problem)
            return
        self.operators = operators
        _LOG.info("drags run with fused operators")


_PREPARATIONS: dict[torch.device, _Preparation] = {}


def start_fused_operators(folder: Path, device: torch.device) -> None:
    """Start a thread that compiles, loads and tests the operators of a device, once per process.

    Args:
        folder: Folder for compiled libraries, which later sessions use again. It and the folder
            above it, if that is this user's, are closed to others.
        device: A CPU or a CUDA GPU; on other devices no operators are made.
    """
    if os.environ.get(SWITCH) != "0" and device not in _PREPARATIONS:
        _PREPARATIONS[device] = preparation = _Preparation(folder, device)
        preparation.thread.start()


def fused_operators(device: torch.device, *, wait: bool = False) -> FusedOperators | None:
    """Return the operators of a device, or None if they were not started or are not ready.

    Args:
        device: The device given to ``start_fused_operators``.
        wait: Whether to wait until they are ready or have failed: about two seconds on the first
            use of a machine.
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
    return None if found >= _LEAST_SPEED_UP else "they are hardly faster than torch's on this GPU"
