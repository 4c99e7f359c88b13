# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ``python -m tools.bench [COMMAND] ...``, one of ``COMMANDS``; default: ``step``."""

from __future__ import annotations

import importlib
import sys

from engine.machine.openmp import wait_briefly

COMMANDS = (
    "step",
    "bake",
    "drag",
    "start",
    "regions",
    "lost",
    "locks",
    "many",
    "live",
    "local",
    "invert",
    "losses",
    "own",
    "blend",
)

if __name__ == "__main__":
    # This must run before torch is imported, here and in child processes, which inherit the
    # environment.
    wait_briefly()
    arguments = sys.argv[1:]
    named = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    module = ".local.command" if named == "local" else f".{named or COMMANDS[0]}"
    command = importlib.import_module(module, __package__)
    sys.exit(command.main(arguments[1:] if named else arguments))
