# SPDX-License-Identifier: GPL-3.0-or-later
"""How torch's CPU threads wait for each other."""

from __future__ import annotations

import os

# How many times a waiting thread checks before it sleeps.
_SPINS = "5000"


def wait_briefly() -> None:
    """Make waiting threads check a few times and then sleep.

    This has an effect only before torch is imported, and none if the user has set
    ``OMP_WAIT_POLICY``.

    By default OpenMP's threads spin for a long time while they wait. When another program (Blender
    while it renders) keeps one of the cores busy, each of a small network's many short operations
    then waits until the scheduler gives a thread its time slice. Waking a sleeping thread, however,
    takes longer than many of these operations. Milliseconds per drag step of the built-in model on
    two cores, both idle and with one of them busy: spinning 17 and 1210, sleeping at once 35 and
    25, sleeping after this many checks 20 and 47. GNU's OpenMP library reads the number of checks;
    other libraries read only the policy.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
