# SPDX-License-Identifier: GPL-3.0-or-later
"""``convert``: convert a ``.pkl`` checkpoint to ``.safetensors`` with the engine's own command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..connection import launcher
from .running import Running, UsageError, add_common


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "convert",
        help="convert a .pkl checkpoint to .safetensors",
        description="Read a checkpoint without running any code in it, and write its generator to "
        "a .safetensors file. The .blend needs no GAN image.",
    )
    parser.add_argument("source", type=Path, help="the checkpoint to read")
    parser.add_argument("destination", type=Path, help="the .safetensors file to write")
    add_common(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, running: Running) -> None:
    source, destination = options.source.absolute(), options.destination.absolute()
    if destination.suffix.lower() != ".safetensors":
        raise UsageError(
            f"{options.destination} does not end in .safetensors, the format that is written"
        )
    try:
        settings = running.engine_settings()
        code, text = launcher.run_command(
            settings.python, settings.root, ["convert", str(source), str(destination)]
        )
    except launcher.LaunchError as error:
        running.refuse_engine(str(error))
        return
    if code:
        running.fail(
            {"source": str(source)},
            text.removeprefix("error: ") or f"The engine ended with exit code {code}",
        )
        return
    running.succeed({"source": str(source), "destination": str(destination)}, text)
