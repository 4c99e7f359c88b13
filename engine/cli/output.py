# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line says while it works: lines for people and render farms, or JSON.

Farm managers find out what a task has made from the lines that Blender prints for each frame,
``Saved: '…'`` and ``Time: …``; these are the same.  With ``--json`` each line is an object with an
``event``, for other programs.  Every line is flushed: what reads it is often a pipe.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path


class Output:
    """Prints what happens, and counts what is done."""

    def __init__(self, as_json: bool) -> None:
        """Begin; the first frame's time counts from here."""
        self._as_json = as_json
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self.done_count = 0

    def note(self, text: str) -> None:
        """Something that only people want to know."""
        if not self._as_json:
            self._print(text)

    def solved(self, number: int, steps: int, distance_px: float) -> None:
        """A frame of a bake is solved."""
        unit = "step" if steps == 1 else "steps"
        text = f"Solved: frame {number}, {steps} {unit}, {distance_px:.2f} px to go"
        self._say(text, "solved", frame=number, steps=steps, distance_px=round(distance_px, 4))

    def saved(self, number: int, path: Path) -> None:
        """A frame's file stands; called from the writer's thread."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        absolute = path.absolute()
        clock = f"{int(seconds // 60):02d}:{seconds % 60:05.2f}"
        text = f"Saved: '{absolute}'\nTime: {clock}"
        self._say(text, "saved", frame=number, path=str(absolute), seconds=round(seconds, 4))

    def begin_frames(self) -> None:
        """The next frame's time counts from here."""
        self._since = time.monotonic()

    def count(self, count: int) -> None:
        """So many frames are done or need not be."""
        self.done_count = max(self.done_count, count)

    def finished(self, text: str, **facts: int | float | str) -> None:
        """Everything is done."""
        self._say(text, "finished", **facts)

    def failed(self, sentence: str, code: int) -> None:
        """It ends with an error and this exit code."""
        if self._as_json:
            self._say("", "failed", message=sentence, code=code)
        print(f"error: {sentence}", file=sys.stderr)

    def _say(self, text: str, event: str, **facts: int | float | str) -> None:
        self._print(json.dumps({"event": event, **facts}) if self._as_json else text)

    def _print(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)
