# SPDX-License-Identifier: GPL-3.0-or-later
"""Lowers the engine's priority: it may use all idle cores, but Blender comes first."""

from __future__ import annotations

import contextlib
import os
import sys

_NICENESS = 10
_BELOW_NORMAL_PRIORITY_CLASS = 0x4000


def lower_priority() -> None:
    """Lower the priority of this process a little; do nothing where the system refuses.

    Torch uses all cores for a step. With the same priority, Blender's threads, which have short
    tasks that cannot wait, would have to share the cores with torch's.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL_PRIORITY_CLASS)
        return
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
