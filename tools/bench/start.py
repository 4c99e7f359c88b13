# SPDX-License-Identifier: GPL-3.0-or-later
"""``start``: how long the engine takes to answer, to load a model, and to make a drag's first step.

The engine is started as Blender starts it, through Blender's side of the connection. The figures
are medians over several starts; one start before them, which is not counted, brings the files into
the system's cache::

    python dev.py bench start [--model NAME] [--runs N] [--device NAME]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from draggan_blender.connection import launcher
from draggan_blender.connection.client import Client
from draggan_blender.connection.events import MessageReceived, PeerProven
from draggan_blender.protocol.drag_messages import Drag, Step
from draggan_blender.protocol.messages import (
    Ending,
    Failed,
    FrameTarget,
    LoadModel,
    Message,
    ModelLoaded,
    Ready,
    Sample,
    Sampled,
)
from draggan_blender.protocol.pairs import Pair

from .process import ROOT

_TIMEOUT_S = 120.0
_POLL_S = 0.001
# The first three are measured from the start of the process, the drags from the request to the
# first step.
HEADINGS = ("hello", "torch ready", "model ready", "first drag", "second drag")


class _Engine:
    """An engine process, its connection, and the time since its start."""

    def __init__(self, device: str, folder: Path) -> None:
        self._started = time.perf_counter()
        self._client = Client()
        self._process = launcher.spawn(
            Path(sys.executable),
            ROOT,
            device,
            folder / "engine.log",
            port=self._client.port,
            token=self._client.token,
        )
        self._waiting: list[object] = []

    def since_start(self) -> float:
        """Return the seconds since the process was started."""
        return time.perf_counter() - self._started

    def until(self, wanted: Callable[[object], bool]) -> object:
        """Return the next event or message that ``wanted`` accepts; drops those before it.

        Raises:
            RuntimeError: It does not arrive within ``_TIMEOUT_S``, or a request failed.
        """
        deadline = time.perf_counter() + _TIMEOUT_S
        while time.perf_counter() < deadline:
            self._waiting += self._client.poll(_POLL_S)
            while self._waiting:
                event = self._waiting.pop(0)
                if isinstance(event, MessageReceived):
                    event = event.message
                if isinstance(event, Failed):
                    raise RuntimeError(event.message)
                if wanted(event):
                    return event
            time.sleep(_POLL_S)
        raise RuntimeError("the engine does not answer; see its log")

    def ask(self, request: Message) -> None:
        """Send a request to the engine."""
        self._client.send(request)

    def end(self) -> None:
        """Kill the process and close the connection."""
        self._process.ask_to_end(politely=False)
        self._client.close()


def _is(kind: type) -> Callable[[object], bool]:
    return lambda event: isinstance(event, kind)


def measure(model: str, device: str, folder: Path) -> tuple[float, ...]:
    """Start an engine once and time it.

    Args:
        model: A built-in model's name, or a file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        folder: For the log, the image and the frames.

    Returns:
        Seconds, in the order of ``HEADINGS``.

    Raises:
        RuntimeError: The engine does not answer, or a request failed.
    """
    engine = _Engine(device, folder)
    ids = itertools.count(1)
    try:
        marks = []
        for wanted in (PeerProven, Ready, ModelLoaded):
            if wanted is ModelLoaded:
                engine.ask(LoadModel(request_id=next(ids), model_path=model))
            loaded = engine.until(_is(wanted))
            marks.append(engine.since_start())
        assert isinstance(loaded, ModelLoaded)
        sample = Sample(
            request_id=next(ids),
            model_path=model,
            seed=0,
            truncation_psi=0.7,
            image_path=str(folder / "image.png"),
        )
        engine.ask(sample)
        sampled = engine.until(_is(Sampled))
        assert isinstance(sampled, Sampled)
        engine.until(_is(Ending))
        width, height = loaded.width, loaded.height
        for name in ("one", "two"):
            request_id = next(ids)
            drag = Drag(
                request_id=request_id,
                model_path=model,
                drag_id=request_id,
                latent=sampled.latent,
                pairs=(
                    Pair(
                        handle_px=(0.5 * width, 0.55 * height),
                        target_px=(0.55 * width, 0.55 * height),
                    ),
                ),
                frames=FrameTarget(folder=str(folder / name), stem="drag", first_number=1),
            )
            # A person, too, looks at the image before dragging, and at the result afterwards.
            time.sleep(1.0)
            asked = time.perf_counter()
            engine.ask(drag)
            engine.until(_is(Step))
            marks.append(time.perf_counter() - asked)
            engine.until(_is(Ending))
        return tuple(marks)
    finally:
        engine.end()


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench start``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dev.py bench start", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="suzanne", help="a built-in model's name, or a file")
    parser.add_argument("--runs", type=int, default=5, help="number of starts, after one uncounted")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps")
    options = parser.parse_args(argv)
    rows = []
    for _ in range(1 + options.runs):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(options.model, options.device, Path(folder)))
    medians = [statistics.median(column) for column in zip(*rows[1:], strict=True)]
    for heading, seconds in zip(HEADINGS, medians, strict=True):
        print(f"{heading:>12}  {seconds:.3f} s")
    return 0
