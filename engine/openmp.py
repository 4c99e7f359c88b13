# SPDX-License-Identifier: GPL-3.0-or-later
"""How torch's threads wait for each other on the CPU."""

from __future__ import annotations

import os

_SPINS = "5000"


def wait_briefly() -> None:
    """Let threads that wait look a few times, then sleep; to be called before torch is imported.

    By default OpenMP's threads spin for long while they wait.  When another program (Blender, as it
    renders) holds one of the cores, a small network's many short operations then each wait for a
    slice of the scheduler: measured on two busy cores, a drag step took 1.16 s so, and 0.05 s if
    threads sleep at once.  On cores that are free, however, to wake a thread takes longer than many
    operations: then steps took half as long again as with a wait of some ten microseconds before
    the sleep.  That is what GNU's library is asked for; others know only the policy.

    What the person has set in the environment stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
