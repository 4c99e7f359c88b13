# SPDX-License-Identifier: GPL-3.0-or-later
"""``blender -b file.blend -c draggan drag …``: the drag for scripts and render farms.

Prints ``Saved: '…'`` for each frame, as Blender's own renders do, because farms read that. There
is no main loop under ``-c``; the pump runs in a plain loop until the engine is done.

Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 no engine, 130 cancelled.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import bpy

from . import edit, images, planes, preferences, pump, recovery
from .errors import EditError
from .session import EnginePhase

DONE, FAILED, WRONG_ARGUMENTS, NO_ENGINE, CANCELLED = 0, 1, 2, 3, 130

#: A farm ends a task with the second.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CANCEL_TIMEOUT_S = 10.0

_commands: list[Any] = []


def run(arguments: list[str]) -> int:
    """The command itself; answers with the exit code of Blender's process."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as leave:  # argparse has said why
        return WRONG_ARGUMENTS if leave.code else DONE
    # Blender installs handlers of its own, which no plain loop ever hears of.
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        return _drag(options)
    except EditError as error:
        print(f"draggan: {error}", file=sys.stderr, flush=True)
        return NO_ENGINE if pump.state().engine is EnginePhase.FAILED else FAILED
    except KeyboardInterrupt:
        print("draggan: cancelled", file=sys.stderr, flush=True)
        return CANCELLED
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _end_engine()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _end_engine() -> None:
    """Give up what runs, and let the engine remove the frames of it before it ends."""
    for plane in planes.everywhere():
        if plane.draggan.request_id:
            recovery.cancel(plane)
    pump.run_until(lambda now: now.active is None, _CANCEL_TIMEOUT_S)
    pump.stop()
    pump.run_until(pump.is_off, 10.0)


def _drag(options: argparse.Namespace) -> int:
    context = bpy.context
    plane = _plane(options.object)
    if plane is None:
        return WRONG_ARGUMENTS
    stored = preferences.get()
    if options.engine:
        os.environ[preferences.PYTHON_VARIABLE] = str(Path(options.engine).absolute())
        if stored is not None:
            stored.engine_python = ""
    if options.device and stored is not None:
        stored.device = options.device
    if options.out:
        plane.draggan.folder = str(Path(options.out).absolute())
    if options.frame is not None:
        planes.scene_of(plane).frame_set(options.frame)
    edit.wait(edit.start_drag(context, plane))
    files = sorted(images.sequence_folder(plane).glob("*.png"))
    for path in files:
        print(f"Saved: '{path}'", flush=True)
    if options.save:
        _save(Path(options.save).absolute())
    if options.json:
        print(json.dumps(_summary(plane)), flush=True)
    else:
        print(f"draggan: {plane.draggan.status}", flush=True)
    return DONE


def _save(path: Path) -> None:
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=path != Path(bpy.data.filepath))
    except RuntimeError as error:
        reason = str(error).removeprefix("Error: ").strip()
        raise EditError(
            f"The images are written, but the .blend is not: {reason}; choose another --save"
        ) from None


def _plane(name: str) -> Any | None:
    """The plane that was named, or the only one; None, and a line that says why, otherwise."""
    known = {plane.name: plane for plane in planes.everywhere()}
    listed = ", ".join(sorted(known)) or "none"
    if name and name not in known:
        print(f"draggan: no GAN image is named {name!r}; there are: {listed}", file=sys.stderr)
        return None
    if not name and len(known) != 1:
        print(f"draggan: name one with --object; the GAN images are: {listed}", file=sys.stderr)
        return None
    return known[name] if name else next(iter(known.values()))


def _summary(plane: Any) -> dict[str, Any]:
    settings = plane.draggan
    return {
        "object": plane.name,
        "status": settings.status,
        "folder": str(images.sequence_folder(plane)),
        "first_frame": settings.sequence.first_frame,
        "frame_count": settings.sequence.frame_count,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blender -b FILE.blend -c draggan")
    commands = parser.add_subparsers(dest="command", required=True)
    drag = commands.add_parser("drag", help="drag the pairs of a GAN image of the file")
    drag.add_argument("--object", default="", help="which GAN image, if there are several")
    drag.add_argument("--frame", type=int, help="the scene frame to start from")
    drag.add_argument("--engine", metavar="PYTHON", help="the Python that has PyTorch")
    drag.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"))
    drag.add_argument("--out", metavar="FOLDER", help="where the sequence's folder is made")
    drag.add_argument("--save", metavar="PATH", help="save the .blend with the result there")
    drag.add_argument("--json", action="store_true", help="print the result as one JSON line")
    return parser


def register() -> None:
    """Offer the command."""
    _commands.append(bpy.utils.register_cli_command("draggan", run))


def unregister() -> None:
    """Take it back."""
    while _commands:
        bpy.utils.unregister_cli_command(_commands.pop())
