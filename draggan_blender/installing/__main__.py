# SPDX-License-Identifier: GPL-3.0-or-later
"""The installer's process: reads a request from standard input, writes events to standard output.

Blender runs this file by its path with its own Python, in isolated mode. It ends when the work
is done, or soon after standard input was closed.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[2])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

# These imports need the path above.
from draggan_blender.installing import checks, machine  # noqa: E402
from draggan_blender.installing.places import Places  # noqa: E402
from draggan_blender.installing.problems import (  # noqa: E402
    CancelledError,
    InstallError,
    from_os_error,
)
from draggan_blender.installing.progress import Progress, log_file  # noqa: E402
from draggan_blender.installing.request import InstallRequest  # noqa: E402
from draggan_blender.installing.steps import Installer  # noqa: E402


def main() -> int:
    """Do what the request says; returns 0, 1 after a failure, 130 if it was cancelled."""
    request = InstallRequest.from_line(sys.stdin.readline())
    cancelled = threading.Event()

    def wait_for_the_end_of_input() -> None:
        while sys.stdin.read(1024):
            pass
        cancelled.set()

    threading.Thread(target=wait_for_the_end_of_input, daemon=True).start()
    try:
        path = log_file(Places(Path(request.user)).logs)
        log = path.open("w", encoding="utf-8")
    except OSError as error:
        problem = from_os_error(error, request.user)
        Progress(sys.stdout).end("failed", kind=problem.kind, sentence=str(problem))
        return 1
    with log:
        return _run(request, Progress(sys.stdout, log, cancelled.is_set))


def _run(request: InstallRequest, progress: Progress) -> int:
    try:
        computer = machine.detect()
        progress.log(f"{request.mode} on {computer.words}, Python {sys.version.split()[0]}")
        progress.end("done", sentence=_do(request, computer, progress))
        return 0
    except CancelledError:
        text = "Cancelled; what was downloaded is kept"
        progress.end("cancelled", kind="cancelled", sentence=text)
        return 130
    except InstallError as error:
        progress.log(traceback.format_exc())
        progress.end("failed", kind=error.kind, sentence=str(error))
    except Exception as error:  # the root of the process
        progress.log(traceback.format_exc())
        problem = InstallError("internal", detail=f"{type(error).__name__}: {error}")
        progress.end("failed", kind=problem.kind, sentence=str(problem))
    return 1


def _do(request: InstallRequest, computer: machine.Machine, progress: Progress) -> str:
    if request.mode == "check":
        return checks.check_own_python(
            Path(request.python),
            env=dict(os.environ),
            folder=Path(request.user),
            progress=progress,
            system=computer.system,
        )
    installer = Installer(request, computer, progress)
    if request.mode == "remove":
        return installer.remove()
    if request.mode == "save_bundle":
        return installer.save_bundle()
    return installer.install().sentence


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not sys.exit: the thread that reads standard input may never end on Windows.
    os._exit(code)
