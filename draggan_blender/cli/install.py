# SPDX-License-Identifier: GPL-3.0-or-later
"""``install``: install, repair, remove or bundle the engine, for scripts and farms."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ..errors import EditError
from ..installing import state
from ..installing.sizes import size_in_words
from ..installing.variants import LABELS
from ..jobs import installation
from .running import Running, UsageError, add_json

_POLL_S = 0.2


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "install",
        help="install the engine, or remove it",
        description="Install the engine into the extension's user folder, or install it again. An "
        "installation that was interrupted is continued. Blender needs --online-mode, unless its "
        "preferences allow online access.",
    )
    parser.add_argument(
        "--variant",
        choices=("auto", *LABELS),
        default="auto",
        help="of PyTorch; auto chooses by what this computer has",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--bundle", metavar="FOLDER", help="install from a bundle")
    what.add_argument("--save-bundle", metavar="FOLDER", help="write a bundle")
    what.add_argument("--remove", action="store_true", help="remove the engine")
    what.add_argument("--report", action="store_true", help="print a report, and change nothing")
    what.add_argument("--sizes", action="store_true", help="print the sizes, and change nothing")
    add_json(parser)
    parser.set_defaults(run=_run, engine=None, device=None)


def _run(options: argparse.Namespace, running: Running) -> None:
    if options.report:
        running.succeed({"report": installation.report()}, installation.report())
        return
    if options.sizes:
        _print_sizes(running)
        return
    variant = "" if options.variant == "auto" else options.variant
    if variant and installation.locks().facts(variant, installation.machine()) is None:
        available = ", ".join(installation.locks().available(installation.machine())) or "none"
        raise UsageError(f"{LABELS[variant]} cannot be installed here; available: {available}")
    gap = installation.locks().gap(installation.machine())
    if gap and not (variant or options.remove or options.bundle):
        running.say(gap)
    mode = "remove" if options.remove else "save_bundle" if options.save_bundle else "install"
    bundle = options.bundle or options.save_bundle or ""
    installation.start(mode, variant=variant, bundle=bundle)
    ended = _follow(running)
    if ended.phase == state.CANCELLED:
        raise KeyboardInterrupt
    if ended.phase == state.FAILED:
        raise EditError(ended.text.removesuffix("."))
    made = installation.installed()
    facts = {"condition": installation.condition(), "sentence": ended.text}
    if made is not None:
        facts |= {"variant": made.variant, "device": made.device, "torch": made.torch}
    running.succeed(facts, ended.text)


def _follow(running: Running) -> state.InstallState:
    """Print each step once, and the progress of a download now and then, until it has ended."""
    said = ""
    try:
        while installation.poll():
            now = installation.now()
            # Not each byte: a line for each new text up to its first number.
            short = now.text.split(":")[0] + f" {now.fraction:.1f}"
            if short != said:
                said = short
                running.say(now.text)
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        installation.cancel()
        installation.wait(10.0)
        raise
    return installation.now()


def _print_sizes(running: Running) -> None:
    machine, locks = installation.machine(), installation.locks()
    for name in locks.available(machine):
        facts = locks.facts(name, machine)
        assert facts is not None
        download, disk = size_in_words(facts.download_bytes), size_in_words(facts.disk_bytes)
        entry = {
            "variant": name,
            "download_bytes": facts.download_bytes,
            "disk_bytes": facts.disk_bytes,
        }
        running.succeed(entry, f"{name}: downloads {download}, needs {disk} of disk")
    if gap := locks.gap(machine):
        running.say(gap)
