# SPDX-License-Identifier: GPL-3.0-or-later
"""What the installer tells: lines of JSON for Blender, and a log for people.

Each line of standard output is an object with ``event``: ``step`` (what is being done, with bytes,
speed and fraction), or the last one, ``done``, ``failed`` or ``cancelled``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from .sizes import size_in_words

# Between two lines about the same step, and the time over which the speed is measured.
_EVERY_S = 0.2
_SPEED_OVER_S = 4.0


class Progress:
    """Writes events and the log.

    Args:
        out: Where the lines of JSON go.
        log: The log file; None for none.
        should_stop: Whether the person has cancelled.
    """

    def __init__(
        self,
        out: TextIO,
        log: TextIO | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._out, self._log = out, log
        self.should_stop = should_stop
        self._step: dict[str, Any] = {}
        self._done = self._total = 0
        self._last_s = 0.0
        self._seen: list[tuple[float, int]] = []

    def step(self, name: str, text: str, *, total: int = 0) -> None:
        """Begin a step.

        Args:
            name: Its name, for programs.
            text: What is being done: ``Downloading packages``.
            total: The bytes that it handles; 0 if that says nothing.
        """
        self._step = {"step": name, "text": text}
        self._done, self._total, self._seen = 0, total, []
        self.log(f"== {text}" + (f" ({size_in_words(total)})" if total else ""))
        self._send_step()

    def detail(self, text: str) -> None:
        """Say which part of the step is being done: ``torch``."""
        self._step["detail"] = text
        self._send_step()

    def add_bytes(self, count: int) -> None:
        """Count bytes of the step."""
        self._done += count
        if self._total:  # which was an estimate if there is more
            self._total = max(self._total, self._done)
        now_s = time.monotonic()
        self._seen.append((now_s, self._done))
        while now_s - self._seen[0][0] > _SPEED_OVER_S:
            self._seen.pop(0)
        if now_s - self._last_s >= _EVERY_S:
            self._send_step()

    def end(self, event: str, **fields: Any) -> None:
        """Say how the installation has ended; the last line."""
        self.log(f"== {event}: {fields.get('sentence', '')}")
        self._send({"event": event, **fields})

    def log(self, text: str) -> None:
        """Write lines to the log, each with the time."""
        if self._log is not None:
            stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
            for line in text.splitlines() or [""]:
                self._log.write(f"{stamp} {line}\n")
            self._log.flush()

    def _send_step(self) -> None:
        self._last_s = time.monotonic()
        event: dict[str, Any] = {"event": "step", **self._step}
        if self._total:
            event |= {"done": self._done, "total": self._total, "speed": self._speed()}
        self._send(event)

    def _speed(self) -> float:
        """Return bytes per second."""
        if len(self._seen) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return max(0.0, (last - first) / (last_s - first_s)) if last_s > first_s else 0.0

    def _send(self, event: dict[str, Any]) -> None:
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()


def log_file(folder: Path) -> Path:
    """Return a new name for a log in a folder, which is made, and remove all but nine older ones.

    Raises:
        OSError: The folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("install-*.log"))[:-9]:
        old.unlink(missing_ok=True)
    return folder / f"install-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}.log"
