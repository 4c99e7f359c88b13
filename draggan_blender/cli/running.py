# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that all commands share: engine settings, lines that farms read, and the exit code.

Flamenco, and farms that were built for Blender's own renders, follow a task's progress by its
lines: ``Saved: '…'`` names a finished image, ``Time: …`` ends a frame, and a line that begins with
``skipping existing frame`` counts as a frame. They are printed and flushed as soon as the engine
reports, because a farm ends a task that prints nothing for too long.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from .. import preferences
from ..connection import pump
from ..connection.launcher import as_meant
from ..connection.state import EnginePhase
from ..errors import EditError, reason_of
from ..jobs import delivery, requests
from ..properties.owners import Plane
from ..protocol.farm_lines import saved_line, skipping_line, solved_line, time_line
from ..protocol.messages import Ending, Failed, FrameTarget, FrameWritten, Message, Request
from ..protocol.timeline import FrameSolved
from ..scene import frame_files, planes

DONE, FAILED, WRONG_ARGUMENTS, NO_ENGINE, PARTLY, HANDLE_LOST, CANCELLED = 0, 1, 2, 3, 4, 5, 130


class UsageError(Exception):
    """An error in the arguments: they do not fit the file; the text says which would."""


class Running:
    """One run of a command: does requests, prints their progress, and collects the results.

    As a context manager it receives the messages of the engine: it prints them, then passes them
    on to the scene.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._error = ""
        self._done: list[dict[str, Any]] = []
        self._failed = 0
        self._frames = 0
        self._heard = False
        self._no_engine = False
        self._has_lost = False
        # The image ids of the requests that ``do`` has submitted.
        self._images: set[str] = set()
        self._written: set[int] = set()
        self._solved: set[int] = set()
        self._first, self._counts_solved = 1, False
        self._since_s = time.monotonic()

    def __enter__(self) -> Running:
        pump.set_delivery(self._take)
        pump.configure(self.engine_settings)
        return self

    def __exit__(self, *_error: object) -> None:
        """Keep receiving messages: ``let_go`` is called when the engine has ended."""

    def let_go(self) -> None:
        """Stop receiving the engine's messages; they go directly to the scene again."""
        pump.set_delivery(delivery.deliver)

    # ------------------------------------------------------------ the engine

    def engine_settings(self) -> pump.EngineSettings:
        """Return the settings of the preferences, replaced by ``--engine`` and ``--device``.

        Raises:
            LaunchError: No Python is configured that could run the engine.
        """
        python, device = self._options.engine, self._options.device
        settings = preferences.engine_settings(as_meant(python).absolute() if python else None)
        return replace(settings, device=device) if device else settings

    def do(self, plane: Plane, request: Request, label: str) -> dict[type, Any]:
        """Submit a request that changes nothing in the scene, and wait until it has ended.

        Args:
            plane: The GAN image that the request belongs to.
            request: What the engine does.
            label: What is being done, for messages: ``Render Suzanne``.

        Returns:
            The last received message of each class.

        Raises:
            EditError: The request failed.
        """
        received: list[Message] = []
        requests.give_to(request.request_id, received.append)
        self._images.add(plane.draggan.uuid)
        pump.submit(pump.Job(request=request, image_id=plane.draggan.uuid, label=label))
        pump.run_until(lambda _now: bool(received) and isinstance(received[-1], Ending), math.inf)
        ending = received[-1]
        if isinstance(ending, Failed):
            raise EditError(ending.message)
        return {type(message): message for message in received}

    def cancel(self) -> None:
        """Cancel the requests that ``do`` has submitted; those of the scene are not cancelled."""
        for image_id in self._images:
            pump.cancel_job(image_id)

    def _take(self, job: pump.Job, message: Message) -> None:
        self._heard = self._heard or not isinstance(message, Ending)
        self._print(message)
        delivery.deliver(job, message)

    # ------------------------------------------------------------ what it prints

    def begin(self, first: int, *, counts_solved: bool = False) -> None:
        """Start to count frames from zero, and to measure the time of the first one.

        Args:
            first: The scene frame of the first row; the file before it is not counted.
            counts_solved: Whether solved frames are counted and timed, and not written ones.
        """
        self._first, self._counts_solved = first, counts_solved
        self._written.clear()
        self._solved.clear()
        self._since_s = time.monotonic()

    def say_taken_over(self, span: range) -> None:
        """Print a line for each frame of a span that an earlier run had solved already."""
        for number in span:
            if number not in self._solved:
                print(skipping_line(number), flush=True)

    def say_skipped(self, target: FrameTarget, span: range) -> None:
        """Print a line for each frame of a span that was not written, as its file exists."""
        for number in span:
            if number not in self._written:
                path = frame_files.frame_path(Path(target.folder), target.stem, number)
                print(skipping_line(path), flush=True)

    def complain(self, sentence: str) -> None:
        """Print an error to standard error; the first one is also the ``error`` of the JSON."""
        self._error = self._error or sentence
        print(f"draggan: {sentence}", file=sys.stderr, flush=True)

    def say(self, sentence: str, *, prefix: str = "draggan: ") -> None:
        """Print a result, unless ``--json`` was given: the JSON then has it."""
        if not self._options.json:
            print(f"{prefix}{sentence}", flush=True)

    def _print(self, message: Message) -> None:
        if isinstance(message, FrameSolved):
            line = solved_line(message.number, message.steps, message.distance_px)
            print(line, flush=True)
            self._frames += 1
            self._solved.add(message.number)
            if self._counts_solved:
                self._print_time()
        elif isinstance(message, FrameWritten):
            print(saved_line(message.path), flush=True)
            # The file before the first frame repeats its image and is not a frame.
            if message.number >= self._first:
                self._frames += 1
                self._print_time()
            self._written.add(message.number)

    def _print_time(self) -> None:
        now_s = time.monotonic()
        print(time_line(now_s - self._since_s), flush=True)
        self._since_s = now_s

    # ------------------------------------------------------------ how it ends

    def each(self, chosen: Iterable[Any], work: Callable[[Any], dict[str, Any]]) -> None:
        """Do some work for each image; an error in one does not stop the others.

        Without a working engine the remaining images are left out.

        Args:
            chosen: GAN images.
            work: Does the work and returns the image's entry in the JSON; may raise ``EditError``.
        """
        for plane in chosen:
            name = plane.name
            try:
                self._done.append({"object": name, **work(plane)})
            except EditError as error:
                self._failed += 1
                self._done.append({"object": name, "error": str(error)})
                self.complain(str(error) if name in str(error) else f"{name}: {error}")
                if self._lacks_engine():
                    return

    def succeed(self, entry: dict[str, Any], text: str) -> None:
        """Record a success that has no request, with its entry in the JSON and its line."""
        self._done.append(entry)
        self.say(text, prefix="")

    def fail(self, entry: dict[str, Any], sentence: str) -> None:
        """Record a failure that has no request, with its entry in the JSON."""
        self._failed += 1
        self._done.append({**entry, "error": sentence})
        self.complain(sentence)

    def lose(self, sentence: str) -> None:
        """Record that a drag ended, but lost handles; ``sentence`` names them."""
        self._has_lost = True
        self.complain(sentence)

    def refuse_engine(self, sentence: str) -> None:
        """Record that there is no engine, which sets the exit code; ``sentence`` says why."""
        self._no_engine = True
        self.complain(sentence)

    def _lacks_engine(self) -> bool:
        never_ran = not self._heard and pump.state().engine is EnginePhase.FAILED
        return self._no_engine or never_ran

    def report(self) -> dict[str, Any]:
        """Return what ``--json`` prints besides the exit code."""
        error = {"error": self._error} if self._error else {}
        return {"command": self._options.command, "results": self._done, **error}

    def exit_code(self) -> int:
        """Return the exit code for the results so far."""
        if self._lacks_engine():
            return NO_ENGINE
        if not self._failed:
            return HANDLE_LOST if self._has_lost else DONE
        return PARTLY if self._frames or self._failed < len(self._done) else FAILED


# ---------------------------------------------------------------- arguments and files


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command: ``--engine``, ``--device`` and ``--json``."""
    parser.add_argument(
        "--engine",
        metavar="PYTHON",
        help="the Python that has PyTorch, instead of the one in the preferences",
    )
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N or mps, instead of the one in the preferences",
    )
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON at the end, to standard output"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        help="the GAN's checkpoint on this machine, instead of the path in the file",
    )


def add_save(parser: argparse.ArgumentParser) -> None:
    """Add ``--save``."""
    parser.add_argument("--save", metavar="PATH", help="save the .blend with the result to PATH")


def named(names: list[str]) -> list[Plane]:
    """Return the file's GAN images with these names; all of them for an empty list.

    Raises:
        UsageError: The file has no GAN image with one of the names, or none at all.
    """
    known = {plane.name: plane for plane in planes.everywhere()}
    listed = ", ".join(sorted(known)) or "none"
    for name in names:
        if name not in known:
            raise UsageError(f"no GAN image is named {name!r}; there are: {listed}")
    if not known:
        raise UsageError("the file has no GAN image; make one with New GAN Image")
    return [known[name] for name in dict.fromkeys(names or sorted(known))]


def model_of(plane: Plane, options: argparse.Namespace, usual: Callable[[Any], str]) -> str:
    """Return the model's path on this machine.

    Args:
        plane: The GAN image.
        options: Of the command line; ``--model`` has precedence.
        usual: Returns the path from ``plane.draggan.source``.
    """
    if options.model:
        return str(Path(options.model).absolute())
    return usual(plane.draggan.source)


def require_place(path_text: str) -> None:
    """Refuse a path that ``save`` cannot write to, before the work whose result it is for.

    Raises:
        EditError: It is a folder, or its folder is missing or read-only.
    """
    path = frame_files.absolute(path_text)
    if path.is_dir():
        raise EditError(f"--save {path_text} is a folder; add the name of the .blend")
    if not path.parent.is_dir():
        raise EditError(f"--save {path_text}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise EditError(
            f"--save {path_text}: the folder {path.parent} is read-only for this account; choose "
            "another"
        )


def save(path_text: str) -> None:
    """Save the open file to a path; as a copy if it is another path than the file's own.

    Raises:
        EditError: The file cannot be written.
    """
    path = frame_files.absolute(path_text)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=path != Path(bpy.data.filepath))
    except RuntimeError as error:
        raise EditError(
            f"The images were written, but the .blend cannot be saved: {reason_of(error)}; choose "
            "another path for --save"
        ) from None
