# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what the command line does, as lines for people and render farms, or as JSON.

Farm managers follow a task by the lines that Blender prints for each frame; ``protocol.farm_lines``
has the same lines. With ``--json`` each line is an object with an ``event``, for other programs.
Every line is flushed, because the reader is often a pipe.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from draggan_blender.protocol.farm_lines import saved_line, solved_line, time_line


class Output:
    """Prints the events of a command, and counts its finished frames.

    Attributes:
        done_count: How many frames are finished, those that were skipped among them.
    """

    def __init__(self, as_json: bool) -> None:
        """Start the clock of the first frame.

        Args:
            as_json: Whether to print JSON objects in place of lines for people.
        """
        self._as_json = as_json
        self._lock = threading.Lock()
        self._since_s = time.monotonic()
        self.done_count = 0

    def note(self, text: str) -> None:
        """Print a line for people; JSON output leaves it out."""
        if not self._as_json:
            self._print(text)

    def solved(self, number: int, steps: int, distance_px: float) -> None:
        """Report a solved frame of a bake.

        Args:
            number: The scene frame.
            steps: How many steps were made for it.
            distance_px: The farthest handle's distance to its target, image pixels.
        """
        text = solved_line(number, steps, distance_px)
        self._say(text, "solved", frame=number, steps=steps, distance_px=round(distance_px, 4))

    def saved(self, number: int, path: Path) -> None:
        """Report a written file and the time since the one before; called from a writer's thread.

        Args:
            number: The number in the file's name.
            path: The file; its absolute path is printed.
        """
        now_s = time.monotonic()
        seconds, self._since_s = now_s - self._since_s, now_s
        absolute = path.absolute()
        text = f"{saved_line(absolute)}\n{time_line(seconds)}"
        self._say(text, "saved", frame=number, path=str(absolute), seconds=round(seconds, 4))

    def begin_frames(self) -> None:
        """Start the clock of the next frame."""
        self._since_s = time.monotonic()

    def count(self, count: int) -> None:
        """Record that this many frames are finished or were skipped; a lower number is ignored."""
        self.done_count = max(self.done_count, count)

    def finished(self, text: str, **facts: int | float | str) -> None:
        """Report the end of a phase of a command, as a line or as an event with these facts."""
        self._say(text, "finished", **facts)

    def failed(self, sentence: str, code: int) -> None:
        """Report an error on standard error, and as an event if the output is JSON.

        Args:
            sentence: What is wrong, for the person.
            code: The exit code, for the JSON object.
        """
        if self._as_json:
            self._say("", "failed", message=sentence, code=code)
        print(f"error: {sentence}", file=sys.stderr)

    def _say(self, text: str, event: str, **facts: int | float | str) -> None:
        self._print(json.dumps({"event": event, **facts}) if self._as_json else text)

    def _print(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)
