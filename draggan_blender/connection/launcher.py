# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, watching and ending the engine's process: the only module that starts one.

Nothing here waits. Ending is asked for and then driven by the clock: each call of
:meth:`EngineProcess.press` takes the next step when its time has come (standard input closed,
terminate, kill). What holds in every case, a crash of Blender included, is the engine's own rule
that it ends when its standard input reaches its end; so that pipe is kept open as long as the
engine is wanted, and is never inherited by anybody else.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

#: After the asking: when to close standard input (if a Shutdown was sent), terminate, kill.
CLOSE_AFTER_S = 1.0
TERMINATE_AFTER_S = 3.0
KILL_AFTER_S = 6.0

#: A line of the engine's own log that is no complaint (date, time, level: see engine/server.py).
_IS_INFORMATION = re.compile(r"\S+ \S+ (DEBUG|INFO) ")

_LOGS_KEPT = 10
_TAIL_BYTES = 16 * 1024

#: What would make another Python of the engine's, or load foreign code into it.
_SCRUBBED = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")

_CREATE_NO_WINDOW = 0x08000000
_CREATE_NEW_PROCESS_GROUP = 0x00000200


_running: weakref.WeakSet[EngineProcess] = weakref.WeakSet()


class LaunchError(Exception):
    """The engine could not be started; the text is a sentence for the person."""


def engine_command(python: Path, root: Path, device: str) -> list[str]:
    """The command line: isolated, so that nothing of Blender's Python reaches the engine.

    ``root`` is the folder that holds ``engine/`` and ``draggan_blender/``.
    """
    main = root / "engine" / "__main__.py"
    # -u: the log is read while the engine runs, and after it was killed.
    return [str(python), "-I", "-u", str(main), "serve", "--device", device]


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without what would change which Python and which code the engine runs."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith("PYTHON") and name not in _SCRUBBED
    }
    kept["PYTHONNOUSERSITE"] = "1"
    if sys.platform == "darwin":
        # Some operators are missing on Apple's GPUs; torch then computes them on the CPU.
        kept.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    return kept


def new_log_path(folder: Path) -> Path:
    """A fresh name for a log in ``folder``, which is made; the oldest logs beyond ten go.

    One file a process, so that two Blenders never write into or rename the other's.

    Raises:
        LaunchError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        logs = sorted(folder.glob("engine-*.log"), key=lambda path: path.name)
    except OSError as error:
        raise LaunchError(
            f"The engine's log needs the folder {folder}, which cannot be made "
            f"({error.strerror}); choose another in the preferences."
        ) from None
    for old in logs[: -(_LOGS_KEPT - 1)]:
        # Still open in another Blender (Windows), or gone already.
        with contextlib.suppress(OSError):
            old.unlink()
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    return folder / f"engine-{stamp}-{os.getpid()}.log"


def last_line(log_path: Path, start: int = 0) -> str:
    """What a log ends with, if that is a complaint: of a traceback, the error itself; or empty.

    ``start``: the byte from which on the log counts.
    """
    try:
        with log_path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(start, file.tell() - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if line.strip() and not line[0].isspace():
            return "" if _IS_INFORMATION.match(line) else line.strip()[:300]
    return ""


class EngineProcess:
    """A started engine. Made by :func:`spawn` only."""

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self._process = process
        self.log_path = log_path
        self._asked_at_s: float | None = None
        self._politely = False
        self._terminated = False
        self._told_bytes = 0
        _running.add(self)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs; -N where signal N ended it."""
        code = self._process.poll()
        if code is not None:
            self._close_stdin()
            _running.discard(self)
        return code

    def last_line(self) -> str:
        """What its log said last, or empty."""
        return last_line(self.log_path, self._told_bytes)

    def skip_log(self) -> None:
        """What the log says so far has been told: it explains nothing that happens later."""
        with contextlib.suppress(OSError):
            self._told_bytes = self.log_path.stat().st_size

    def ask_to_end(self, *, politely: bool) -> None:
        """Begin to end it; :meth:`press` goes on.

        ``politely``: it has been sent a Shutdown, so leave it a second before its standard
        input closes under it.
        """
        if self._asked_at_s is None:
            self._asked_at_s = time.monotonic()
            self._politely = politely
        if not politely:
            self._close_stdin()

    def press(self) -> None:
        """Take the step in ending it whose time has come; nothing if it was not asked to end."""
        if self._asked_at_s is None or self.poll() is not None:
            return
        waited_s = time.monotonic() - self._asked_at_s
        if waited_s >= CLOSE_AFTER_S:
            self._close_stdin()
        if waited_s >= KILL_AFTER_S:
            self.kill()
        elif waited_s >= TERMINATE_AFTER_S and not self._terminated:
            self._terminated = True
            self.terminate()

    def terminate(self) -> None:
        """Ask the system to end it; on Windows that is a kill."""
        if os.name == "nt":
            self._process.terminate()
        else:
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and on POSIX whatever it started, without asking."""
        if os.name == "nt":
            self._process.kill()
        else:
            self._signal_group(signal.SIGKILL)

    def end_now(self, grace_s: float) -> None:
        """End it and wait for that: for the moments after which nobody looks after it any more.

        An engine follows the closing of its standard input in milliseconds, so ``grace_s`` is
        spent only on one that hangs.
        """
        self._close_stdin()
        for patience_s in (grace_s, 1.0):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
                break
            self.kill()
        self.poll()

    def _signal_group(self, number: int) -> None:
        # Only while it is not reaped: its id, which is its group's, cannot be another's then.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _close_stdin(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def end_all(grace_s: float = 1.0) -> None:
    """End every engine that still runs, and wait for it: at unregistering and at exit."""
    for process in tuple(_running):
        process.end_now(grace_s)


def _check(python: Path, root: Path) -> None:
    # os.path, because a Path raises where a folder on the way may not be looked into.
    if not os.path.isfile(python):
        raise LaunchError(
            f"The engine's Python was expected at {python}, but there is no such file; "
            "choose the Python that has PyTorch in the extension's preferences."
        )
    if not (root / "engine" / "__main__.py").is_file():
        raise LaunchError(
            f"The engine was expected in {root / 'engine'}, but it is not there; "
            "install the extension again."
        )


def spawn(
    python: Path, root: Path, device: str, log_path: Path, *, port: int, token: str
) -> EngineProcess:
    """Start the engine and tell it, on standard input, where to connect and what to prove there.

    To be called from the main thread. Does not wait for the process to do anything.

    Args:
        python: the interpreter that has torch.
        root: the folder that holds ``engine/`` and ``draggan_blender/``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        log_path: takes standard output and standard error.
        port: the loopback port that Blender listens on.
        token: what the engine has to say there.

    Raises:
        LaunchError: there is no such Python, or the system does not start it.
    """
    _check(python, root)
    try:
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                engine_command(python, root, device),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=engine_environment(os.environ),
                # Windows does not replace or delete a folder that is some process's current one.
                cwd=log_path.parent,
                start_new_session=os.name != "nt",
                creationflags=_CREATE_NO_WINDOW | _CREATE_NEW_PROCESS_GROUP
                if os.name == "nt"
                else 0,
            )
    except OSError as error:
        raise LaunchError(
            f"The engine could not be started with {python} ({error.strerror or error}); "
            "choose a working Python in the extension's preferences."
        ) from None
    engine = EngineProcess(process, log_path)
    assert process.stdin is not None
    line = json.dumps({"port": port, "token": token}) + "\n"
    # A process that has died already is found out by poll().
    with contextlib.suppress(OSError):
        process.stdin.write(line.encode())
        process.stdin.flush()
    return engine


def run_command(python: Path, root: Path, arguments: list[str]) -> tuple[int, str]:
    """Run one command of the engine's own command line to its end.

    Returns:
        Its exit code and what it said, errors included. Where the wait is interrupted it is ended.

    Raises:
        LaunchError: as :func:`spawn`.
    """
    _check(python, root)
    try:
        process = subprocess.Popen(
            [str(python), "-I", "-u", str(root / "engine" / "__main__.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=engine_environment(os.environ),
            text=True,
            errors="replace",
            creationflags=_CREATE_NO_WINDOW if os.name == "nt" else 0,
        )
    except OSError as error:
        raise LaunchError(
            f"The engine could not be started with {python} ({error.strerror or error}); "
            "choose a working Python in the extension's preferences."
        ) from None
    with process:
        try:
            text, _ = process.communicate()
        except BaseException:
            process.kill()
            raise
    return process.returncode, text.strip()
