# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tools.bench [step|bake|drag|start] …`: `step` is meant where none is named."""

from __future__ import annotations

import importlib
import sys

from engine.machine.openmp import wait_briefly

COMMANDS = ("step", "bake", "drag", "start")

if __name__ == "__main__":
    # Before torch is imported, here and in the processes that inherit the environment.
    wait_briefly()
    arguments = sys.argv[1:]
    named = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    command = importlib.import_module(f".{named or COMMANDS[0]}", __package__)
    sys.exit(command.main(arguments[1:] if named else arguments))
