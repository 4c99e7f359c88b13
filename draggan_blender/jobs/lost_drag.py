# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a drag whose engine was lost: its steps so far, as ``Stop`` would have kept them.

The engine keeps them in the folder of the drag (``protocol.lost_drag``). The next engine, which is
started for that, makes the result of them. Until then the drag counts as running.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ..connection import pump
from ..properties.owners import Plane
from ..protocol.drag_messages import Drag, Step
from ..protocol.file_names import DRAG_JOURNAL_FILE
from ..protocol.lost_drag import FinishDrag
from ..protocol.messages import Ending, Failed
from . import folders, live

# Request id -> the last step of a running drag.
_steps: dict[int, int] = {}


def note(step: Step) -> None:
    """Remember how far a drag has come."""
    _steps[step.request_id] = step.step


def finish(plane: Plane | None, job: pump.Job, ending: Ending) -> bool:
    """Ask the next engine for the result of a drag whose engine was lost.

    The new request has the id of the drag, so whoever waits for the drag waits for its result.

    Args:
        plane: The plane that waits for the drag; None if there is none any more.
        job: The job that has ended.
        ending: Its ending.

    Returns:
        Whether it was asked; otherwise the drag has ended.
    """
    request = job.request
    steps = _steps.pop(request.request_id, 0)
    is_lost = isinstance(ending, Failed) and ending.cause == "engine"
    if plane is None or not is_lost or not steps:
        return False
    # The second engine that is lost leaves no result: a third one would hardly do better.
    if not isinstance(request, Drag) or isinstance(request, FinishDrag):
        return False
    folder = Path(request.frames.folder)
    if not (folder / DRAG_JOURNAL_FILE).is_file():
        return False
    live.ended(request.request_id)
    folders.remove_parts(folder)
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    pump.submit(pump.Job(FinishDrag(**values), job.image_id, job.label))
    return True


def sentence(steps: int) -> str:
    """Return what is said about the result, with its number of steps."""
    count = "the step so far was" if steps == 1 else f"the {steps} steps so far were"
    return f"The engine ended; {count} kept"


def forget() -> None:
    """Forget all drags."""
    _steps.clear()
