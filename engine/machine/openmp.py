# SPDX-License-Identifier: GPL-3.0-or-later
"""How torch's threads wait for each other on the CPU."""

from __future__ import annotations

import os

_SPINS = "5000"


def wait_briefly() -> None:
    """Let threads that wait look a few times, then sleep; to be called before torch is imported.

    By default OpenMP's threads spin for long while they wait.  When another program (Blender, as it
    renders) holds one of the cores, a small network's many short operations then each wait for a
    slice of the scheduler.  To wake a thread that sleeps takes longer than many of them, however.
    Milliseconds of a drag step, built-in model, two cores, free and with one of them busy: spinning
    17 and 1210, sleeping at once 35 and 25, after so many looks 20 and 47.  GNU's library counts
    looks; others know only the policy.

    What the person has set in the environment stands.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
