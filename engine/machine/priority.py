# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine gives way: it may take all cores, but never one that Blender wants."""

from __future__ import annotations

import contextlib
import os
import sys

_NICENESS = 10
_BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def give_way() -> None:
    """Lower this process's priority a little; where the system does not let it, nothing happens.

    Torch uses all cores for a step.  With the same priority Blender's own threads, which have
    little to do but soon, would wait for a slice of time beside them.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL_PRIORITY_CLASS)
        return
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
