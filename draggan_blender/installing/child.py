# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of the installer's process: starts it, reads its events, cancels it.

The events go through a file, because a pipe cannot be read without waiting on Windows. Standard
input stays open while the process is wanted: the installer cancels itself when it is closed, also
if Blender has crashed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import commands
from .machine import this_platform
from .problems import InstallError, from_os_error
from .request import InstallRequest

_END_AFTER_S = 3.0
_ENDINGS = ("done", "failed", "cancelled")


class Child:
    """A started installer.

    Args:
        request: What it does.
        python: The interpreter that it runs in: Blender's own.

    Raises:
        InstallError: It cannot be started.
    """

    def __init__(self, request: InstallRequest, python: str = sys.executable) -> None:
        self.request = request
        self._rest, self._noise = b"", ""
        self.has_ended = False
        handle, name = tempfile.mkstemp(prefix="draggan-install-", suffix=".jsonl")
        self._path = Path(name)
        self._events = self._path.open("rb")
        try:
            with os.fdopen(handle, "wb") as written:
                self._process = subprocess.Popen(
                    commands.installer_command(python, Path(request.root)),
                    stdin=subprocess.PIPE,
                    stdout=written,
                    stderr=subprocess.STDOUT,
                    cwd=tempfile.gettempdir(),
                    **commands.popen_options(this_platform().system),
                )
        except OSError as error:
            self._events.close()
            self._path.unlink()
            raise from_os_error(error, python) from error
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(request.to_line().encode())
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def poll(self) -> list[dict[str, Any]]:
        """Return the new events; does not wait. The last one is an ending, also after a crash."""
        if self.has_ended:
            return []
        code = self._process.poll()
        events = self._new_events()
        if any(event.get("event") in _ENDINGS for event in events):
            self.has_ended = True
        elif code is not None:
            self.has_ended = True
            detail = self._noise or f"exit code {code}"
            sentence = str(InstallError("internal", detail=detail))
            events.append({"event": "failed", "kind": "internal", "sentence": sentence})
        if self.has_ended:
            self._close()
        return events

    def cancel(self) -> None:
        """Ask it to cancel; the event ``cancelled`` follows."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def end_now(self) -> None:
        """Cancel and wait for the end; for unregistering and for Blender's exit."""
        self.cancel()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_AFTER_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(_END_AFTER_S)
        self.has_ended = True
        self._close()

    def _new_events(self) -> list[dict[str, Any]]:
        *lines, self._rest = (self._rest + self._events.read()).split(b"\n")
        events = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict):
                events.append(event)
            elif line.strip():
                self._noise = line.decode("utf-8", "replace").strip()[:300]
        return events

    def _close(self) -> None:
        self.cancel()
        # It may take a moment to end after its last event; nobody waits for that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self._events.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
