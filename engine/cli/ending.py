# SPDX-License-Identifier: GPL-3.0-or-later
"""Says how a drag of the command line has ended, and which exit code that is."""

from __future__ import annotations

import sys

from ..solving.result import DragResult, DragStatus
from .output import Output

# Exit codes.
FAILED, PARTLY_DONE, HANDLE_LOST, INTERRUPTED = 1, 4, 5, 130


def note_flat(result: DragResult, output: Output) -> None:
    """Name the handles that lie on plain areas."""
    for number, is_flat in enumerate(result.flat, start=1):
        if is_flat:
            output.note(
                f"handle {number} lies on an area without structure, which cannot be followed"
            )


def note_result(result: DragResult, output: Output) -> None:
    """Say whether a drag has reached its targets, why it has ended, and how long it took."""
    per_step = result.seconds / max(1, result.steps)
    verdict = "" if result.status is DragStatus.REACHED else "not reached: "
    output.note(f"{verdict}{result.reason} ({result.seconds:.1f} s, {per_step:.3f} s per step)")


def drag_ended(result: DragResult, output: Output, *, was_interrupted: bool) -> int:
    """Return the exit code of a drag, and report one that is not 0.

    Args:
        result: The result of a judged drag.
        output: Reports it.
        was_interrupted: Whether Ctrl-C was pressed.

    Returns:
        0, ``HANDLE_LOST``, or ``INTERRUPTED``.
    """
    if was_interrupted:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if result.status is not DragStatus.LOST:
        return 0
    output.failed(result.reason, HANDLE_LOST)
    return HANDLE_LOST
