# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, watching and ending the engine's process; no other module starts one.

Ending takes several steps: close standard input, terminate, kill. To avoid waiting, each call of
``EngineProcess.press`` takes the next step if it is due; only ``end_now``, ``end_all`` and
``run_command`` wait. The engine ends by its own rule when its standard input is closed, even if
Blender has crashed. So that pipe stays open while the engine is needed, and no other process
inherits it.
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

# Seconds from ``ask_to_end`` to each step; standard input is closed at once without a Shutdown.
CLOSE_AFTER_S = 1.0
TERMINATE_AFTER_S = 3.0
KILL_AFTER_S = 6.0

# A line of the engine's log that is not a warning or an error: date, time, level, as
# ``engine.serving.server`` writes them.
_IS_INFORMATION = re.compile(r"\S+ \S+ (DEBUG|INFO) ")

_LOGS_KEPT = 10
_TAIL_BYTES = 16 * 1024

# Environment variables that change the engine's Python or load other code into it.
_SCRUBBED = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")

_CREATE_NO_WINDOW = 0x08000000
_CREATE_NEW_PROCESS_GROUP = 0x00000200

_running: weakref.WeakSet[EngineProcess] = weakref.WeakSet()


class LaunchError(Exception):
    """An engine that could not be started; the text is a sentence for the person."""


def as_meant(text: str) -> Path:
    """Return the Python that a person has named: without quotes and spaces around, ``~`` expanded.

    The folder of an environment stands for the Python in it.
    """
    path = Path(text.strip().strip("\"'").strip())
    with contextlib.suppress(RuntimeError):  # there is no such user
        path = path.expanduser()
    if path.is_dir():
        for inside in ("bin/python", "Scripts/python.exe", "python.exe"):
            if (path / inside).is_file():
                return path / inside
    return path


def engine_command(python: Path, root: Path, device: str) -> list[str]:
    """Return the engine's command line, isolated from the settings of Blender's Python.

    Args:
        python: The interpreter that has PyTorch.
        root: The folder that holds ``engine`` and ``draggan_blender``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    """
    main = root / "engine" / "__main__.py"
    # -u: the log is read while the engine is running, and after it was killed.
    return [str(python), "-I", "-u", str(main), "serve", "--device", device]


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without variables that change which code the engine's Python runs."""
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
    """Return a new file name for a log, make the folder, and remove all but the newest nine logs.

    Each engine has its own file, so that two Blenders never write to the same one.

    Raises:
        LaunchError: The folder cannot be made.
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
        # It is still open in another Blender (Windows), or has been removed already.
        with contextlib.suppress(OSError):
            old.unlink()
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    return folder / f"engine-{stamp}-{os.getpid()}.log"


def last_line(log_path: Path, start: int = 0) -> str:
    """Return the last line of a log if it is a warning or an error, else an empty text.

    Indented lines are skipped, so of a traceback it is the line with the exception.

    Args:
        log_path: The log; a missing file counts as empty.
        start: The byte of the log to start at.
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
    """A started engine process; only ``spawn`` makes one."""

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self._process = process
        self.log_path = log_path
        self._asked_at_s: float | None = None
        self._terminated = False
        self._skipped_bytes = 0
        _running.add(self)

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, -N if signal N ended the process, or None while it is running."""
        code = self._process.poll()
        if code is not None:
            self._close_stdin()
            _running.discard(self)
        return code

    def last_line(self) -> str:
        """Return the module's ``last_line`` of its log, without what ``skip_log`` has skipped."""
        return last_line(self.log_path, self._skipped_bytes)

    def skip_log(self) -> None:
        """Ignore the log so far in ``last_line``: it was reported, and explains no later event."""
        with contextlib.suppress(OSError):
            self._skipped_bytes = self.log_path.stat().st_size

    def ask_to_end(self, *, politely: bool) -> None:
        """Start to end the process; ``press`` takes the next steps.

        Args:
            politely: Whether a ``Shutdown`` was sent; the engine then has a second before its
                standard input is closed.
        """
        if self._asked_at_s is None:
            self._asked_at_s = time.monotonic()
        if not politely:
            self._close_stdin()

    def press(self) -> None:
        """Take the next step of ending the process if it is due; does not wait."""
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
        """Send SIGTERM to the process and its children; on Windows kill the process."""
        if os.name == "nt":
            self._process.terminate()
        else:
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process, and on POSIX its children, too."""
        if os.name == "nt":
            self._process.kill()
        else:
            self._signal_group(signal.SIGKILL)

    def end_now(self, grace_s: float) -> None:
        """Close standard input, wait for the end of the process, and kill it if it does not end.

        For unregistering and for Blender's exit, after which nothing would call ``press``.

        Args:
            grace_s: How long to wait before the kill. An engine usually ends within milliseconds.
        """
        self._close_stdin()
        for patience_s in (grace_s, 1.0):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
                break
            self.kill()
        self.poll()

    def _signal_group(self, number: int) -> None:
        # Before the process is reaped, the system does not give its id to another process group.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _close_stdin(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def end_all(grace_s: float = 1.0) -> None:
    """End every running engine and wait for it; for unregistering and for Blender's exit."""
    for process in tuple(_running):
        process.end_now(grace_s)


def _check(python: Path, root: Path) -> None:
    # os.path, because Path.is_file raises an error if a folder of the path may not be searched.
    if not os.path.isfile(python):
        raise LaunchError(
            f"The engine's Python was expected at {python}, but there is no such file; "
            "choose a Python that has PyTorch in the extension's preferences."
        )
    if not (root / "engine" / "__main__.py").is_file():
        raise LaunchError(
            f"The engine was expected in {root / 'engine'}, but it is missing; "
            "install the extension again."
        )


def spawn(
    python: Path, root: Path, device: str, log_path: Path, *, port: int, token: str
) -> EngineProcess:
    """Start the engine and send it the port and the token on standard input.

    Call it from the main thread. It does not wait for the process.

    Args:
        python: The interpreter that has PyTorch.
        root: The folder that holds ``engine`` and ``draggan_blender``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        log_path: The file for standard output and standard error.
        port: The loopback port that Blender listens on.
        token: The secret that the engine sends in its hello.

    Raises:
        LaunchError: The Python or the engine is missing, or the process cannot be started.
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
                # Windows cannot replace or delete a folder that is a process's current folder, and
                # without one PyTorch fails elsewhere: the drive's root stays.
                cwd=python.absolute().anchor,
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
    # If the process has died already, poll reports it.
    with contextlib.suppress(OSError):
        process.stdin.write(line.encode())
        process.stdin.flush()
    return engine


def run_command(python: Path, root: Path, arguments: list[str]) -> tuple[int, str]:
    """Run a command of the engine's own command line and wait for its end.

    If an exception interrupts the wait, the process is killed.

    Args:
        python: The interpreter that has PyTorch.
        root: The folder that holds ``engine`` and ``draggan_blender``.
        arguments: The command and its arguments.

    Returns:
        The exit code, and the text of standard output and standard error together.

    Raises:
        LaunchError: The Python or the engine is missing, or the process cannot be started.
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
