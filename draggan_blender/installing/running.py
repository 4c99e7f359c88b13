# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the programs of an installation, so that they can be cancelled and are logged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from .commands import popen_options
from .problems import CancelledError, from_os_error
from .progress import Progress

_POLL_S = 0.1
_END_AFTER_S = 5.0


def run(
    command: list[str],
    *,
    env: Mapping[str, str],
    folder: Path,
    progress: Progress,
    system: str,
) -> tuple[int, str]:
    """Run a program to its end, and log what it prints.

    Args:
        command: The program and its arguments.
        env: Its environment.
        folder: Its current folder.
        progress: Where its output goes; its ``should_stop`` ends the program.
        system: ``linux``, ``windows`` or ``macos``.

    Returns:
        The exit code, and all that it has printed.

    Raises:
        InstallError: The program cannot be started.
        CancelledError: The person has cancelled; the program and its children were ended.
    """
    progress.log("$ " + " ".join(command))
    try:
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            **popen_options(system),
        )
    except OSError as error:
        raise from_os_error(error, command[0]) from error
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
    reader.start()
    with process:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
                break
            if progress.should_stop():
                _end(process)
                progress.log("".join(lines))
                raise CancelledError
        reader.join(_END_AFTER_S)
    text = "".join(lines)
    progress.log(f"{text.rstrip()}\n(exit code {process.returncode})".strip())
    return process.returncode, text


def _end(process: subprocess.Popen[str]) -> None:
    """End a program and its children, by force if it does not end by itself."""
    if os.name == "nt":
        process.kill()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_AFTER_S)
            return
