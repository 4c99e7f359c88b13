# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command shares: the engine's choice, the lines that farms read, and the exit code.

Flamenco, and farms that were built for Blender's own renders, find out how a task gets on by its
lines: ``Saved: '…'`` names a finished image, ``Time: …`` ends a frame, and a line that begins with
``skipping existing frame`` counts as one. They are printed and flushed the moment the engine
reports, because a farm ends a task that has been silent for too long.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from .. import preferences
from ..connection import pump
from ..connection.session import EnginePhase
from ..errors import EditError, reason_of
from ..jobs import delivery, requests
from ..properties.owners import Plane
from ..protocol.farm_lines import saved_line, skipping_line, solved_line, time_line
from ..protocol.messages import Ending, Failed, FrameTarget, FrameWritten, Message, Request
from ..protocol.timeline import FrameSolved
from ..scene import frame_files, planes

DONE, FAILED, WRONG_ARGUMENTS, NO_ENGINE, PARTLY, CANCELLED = 0, 1, 2, 3, 4, 130


class UsageError(Exception):
    """The arguments do not fit the file; the text says which would."""


class Running:
    """One run of a command. A context manager: within it, engine messages come here first."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._error = ""
        self._done: list[dict[str, Any]] = []
        self._failed = 0
        self._frames = 0
        self._heard = False
        self._no_engine = False
        #: Requests that have no scene side, by id: what they have brought so far.
        self._alone: dict[int, dict[type, Any]] = {}
        self._endings: dict[int, Ending] = {}
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
        """The engine may still have something to say: :meth:`let_go` comes after its end."""

    def let_go(self) -> None:
        """Messages go to the scene alone again."""
        pump.set_delivery(delivery.deliver)

    # ------------------------------------------------------------ the engine

    def engine_settings(self) -> pump.EngineSettings:
        """The preferences' settings with what the command line says in their place.

        Raises:
            LaunchError: no Python is known that could run the engine.
        """
        python, device = self._options.engine, self._options.device
        settings = preferences.engine_settings(Path(python).absolute() if python else None)
        return replace(settings, device=device) if device else settings

    def do(self, plane: Plane, request: Request, label: str) -> dict[type, Any]:
        """Have a request done that changes nothing in the scene.

        Returns:
            The messages that came of it, the last of each class.

        Raises:
            EditError: it failed.
        """
        number = request.request_id
        self._alone[number] = {}
        self._images.add(plane.draggan.uuid)
        pump.submit(pump.Job(request=request, image_id=plane.draggan.uuid, label=label))
        pump.run_until(lambda _now: number in self._endings, math.inf)
        ending = self._endings[number]
        if isinstance(ending, Failed):
            raise EditError(ending.message)
        return self._alone.pop(number)

    def wait(self, request_id: int) -> None:
        """Wait for a request whose result becomes scene.

        Raises:
            EditError: it failed.
        """
        pump.run_until(lambda _now: request_id in requests.endings, math.inf)
        if requests.endings[request_id]:
            raise EditError(requests.endings[request_id])

    def cancel(self) -> None:
        """Give up the requests that have no scene side."""
        for image_id in self._images:
            pump.cancel_job(image_id)

    def _take(self, job: pump.Job, message: Message) -> None:
        number = job.request.request_id
        self._heard = self._heard or not isinstance(message, Ending)
        self._print(message)
        if number not in self._alone:
            delivery.deliver(job, message)
        elif isinstance(message, Ending):
            self._endings[number] = message
        else:
            self._alone[number][type(message)] = message

    # ------------------------------------------------------------ what it prints

    def begin(self, first: int, *, counts_solved: bool = False) -> None:
        """Begin to count frames anew, from ``first`` on: those that are written, or solved."""
        self._first, self._counts_solved = first, counts_solved
        self._written.clear()
        self._solved.clear()
        self._since_s = time.monotonic()

    def say_taken_over(self, span: range) -> None:
        """Tell the frames of a span that were not solved: nothing about them has changed."""
        for number in span:
            if number not in self._solved:
                print(skipping_line(number), flush=True)

    def say_skipped(self, target: FrameTarget, span: range) -> None:
        """Tell the frames of a span that were not written: their files were right already."""
        for number in span:
            if number not in self._written:
                path = frame_files.frame_path(Path(target.folder), target.stem, number)
                print(skipping_line(path), flush=True)

    def complain(self, sentence: str) -> None:
        """Say what is wrong."""
        self._error = self._error or sentence
        print(f"draggan: {sentence}", file=sys.stderr, flush=True)

    def say(self, sentence: str, *, prefix: str = "draggan: ") -> None:
        """Say how something went; a program reads it in the JSON instead."""
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
            # What is shown before the first frame is a file, too, but no frame.
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
        """Do something with each image; what goes wrong with one does not hinder the others.

        Args:
            chosen: GAN images.
            work: answers with what the JSON says of the image; may raise EditError.
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
        """Something was done that is no request: what the JSON and the line say of it."""
        self._done.append(entry)
        self.say(text, prefix="")

    def fail(self, entry: dict[str, Any], sentence: str) -> None:
        """Something could not be done that is no request."""
        self._failed += 1
        self._done.append({**entry, "error": sentence})
        self.complain(sentence)

    def refuse_engine(self, sentence: str) -> None:
        """There is no engine; ``sentence`` says why."""
        self._no_engine = True
        self.complain(sentence)

    def _lacks_engine(self) -> bool:
        never = not self._heard and pump.state().engine is EnginePhase.FAILED
        return self._no_engine or never

    def report(self) -> dict[str, Any]:
        """What ``--json`` prints besides the exit code."""
        error = {"error": self._error} if self._error else {}
        return {"command": self._options.command, "results": self._done, **error}

    def exit_code(self) -> int:
        """The code that says how it went so far."""
        if self._lacks_engine():
            return NO_ENGINE
        if not self._failed:
            return DONE
        return PARTLY if self._frames or self._failed < len(self._done) else FAILED


# ---------------------------------------------------------------- arguments and files


def add_common(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command that works with the engine."""
    parser.add_argument(
        "--engine", metavar="PYTHON", help="the Python that has PyTorch, in place of the set one"
    )
    parser.add_argument(
        "--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps, in place of the set one"
    )
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``, which every command has."""
    parser.add_argument(
        "--json", action="store_true", help="end with one line of JSON on standard output"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """``--model``: where the checkpoint is on this machine."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        help="where the GAN's checkpoint is on this machine, if not where the file says",
    )


def add_save(parser: argparse.ArgumentParser) -> None:
    """``--save``: the .blend with the result."""
    parser.add_argument("--save", metavar="PATH", help="save the .blend with the result there")


def named(names: list[str]) -> list[Plane]:
    """The GAN images with these names, all if there are none.

    Raises:
        UsageError: there is none of a name, or none at all.
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
    """The model's path on this machine: as ``--model`` says, else as ``usual`` has it."""
    if options.model:
        return str(Path(options.model).absolute())
    return usual(plane.draggan.source)


def save(path_text: str) -> None:
    """Save the file as it is now.

    Raises:
        EditError: it cannot be written.
    """
    path = Path(path_text).absolute()
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=path != Path(bpy.data.filepath))
    except RuntimeError as error:
        raise EditError(
            f"The images are written, but the .blend is not: {reason_of(error)}; "
            "choose another --save"
        ) from None
