# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, ``blender -b FILE.blend -c draggan COMMAND …``, for scripts and render farms.

Each command has a module that adds its arguments and calls the same plain functions as the panel.
``-c`` runs no main loop, so the pump runs in a plain loop until the engine has finished. The lines
that farms read are printed to standard output during the work (``running``), and each error as a
sentence to standard error.

Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no engine, 4 partly done, 5 a drag is done but
has lost a handle, 130 cancelled. After 1, 4 and 130 the same command with ``--resume`` continues
the work.
"""

from __future__ import annotations

import argparse
import json
import signal
from typing import Any

import bpy

from .. import preferences
from ..connection import pump
from ..errors import EditError
from ..jobs import recovery
from ..scene import planes
from . import bake, blend, convert, drag, info, install, invert, render
from .running import CANCELLED, DONE, FAILED, WRONG_ARGUMENTS, Running, UsageError, require_place

_COMMANDS = (bake, drag, invert, blend, render, info, convert, install)
# Ctrl-C sends the first; a farm ends a task with the second.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CANCEL_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0

_registered: list[Any] = []


def run(arguments: list[str]) -> int:
    """Run a command and return the exit code of Blender's process.

    Args:
        arguments: Those after ``-c draggan``.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as leave:  # argparse has printed the reason
        return WRONG_ARGUMENTS if leave.code else DONE
    running = Running(options)
    # Blender's own handlers only set a flag, which a plain loop never sees.
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        code = _run(options, running)
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _end_engine(running)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if options.json:
        print(json.dumps({"exit_code": code, **running.report()}), flush=True)
    return code


def _run(options: argparse.Namespace, running: Running) -> int:
    try:
        if "save" in options and options.save:
            require_place(options.save)
        with running:
            options.run(options, running)
    except UsageError as error:
        running.complain(str(error))
        return WRONG_ARGUMENTS
    except EditError as error:
        running.complain(str(error))
        return max(running.exit_code(), FAILED)
    except KeyboardInterrupt:
        running.complain("cancelled")
        return CANCELLED
    return running.exit_code()


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _end_engine(running: Running) -> None:
    """Cancel what is running, wait until the engine has cleaned up, and end the engine."""
    for plane in planes.everywhere():
        if plane.draggan.request_id:
            recovery.cancel(plane)
    running.cancel()
    pump.run_until(lambda now: now.active is None, _CANCEL_TIMEOUT_S)
    pump.stop()
    pump.run_until(pump.is_off, _STOP_TIMEOUT_S)
    running.let_go()
    pump.configure(preferences.engine_settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blender -b FILE.blend -c draggan",
        description="Bake, drag and render GAN images without a window.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no engine, 4 partly done, "
        "5 dragged, but a handle was lost, 130 cancelled. With --resume the same command continues "
        "work that was not finished.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser


def register() -> None:
    """Register ``-c draggan`` with Blender."""
    _registered.append(bpy.utils.register_cli_command("draggan", run))


def unregister() -> None:
    """Unregister ``-c draggan``."""
    while _registered:
        bpy.utils.unregister_cli_command(_registered.pop())
