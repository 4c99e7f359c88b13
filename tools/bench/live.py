# SPDX-License-Identifier: GPL-3.0-or-later
"""``live``: how long it takes from a new target of a running drag to the image that follows it.

The engine is run as Blender runs it: by the same code, with a tick every 5 ms. A target that moves
like a hand, in a circle with ``--rate`` new places a second, is sent to an open drag, as the Pull
tool does. A place counts as shown when a preview arrives that was made from a latent which has been
changed for this place or a later one. Blender's drawing comes on top; ``tools/live.py`` measures it
in a window::

    python dev.py bench live [--model NAME] [--seconds N] [--rate N] [--device NAME]

``--model`` is a built-in model, a file, or a resolution for a network with random weights.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from draggan_blender.connection import events
from draggan_blender.connection.runtime import EngineSettings, Runtime
from draggan_blender.protocol.drag_messages import Drag, Preview, Step
from draggan_blender.protocol.live import ReplacePairs
from draggan_blender.protocol.messages import (
    Ending,
    Failed,
    FrameTarget,
    Message,
    ModelLoaded,
    Sample,
    Sampled,
)
from draggan_blender.protocol.pairs import Pair

from .latencies import Latencies
from .process import ROOT, make_generator

_TIMEOUT_S = 300.0
# The circle's radius as a part of the image's side, and how long one turn takes.
_RADIUS, _TURN_S = 0.05, 3.0
_IMAGE = "bench"


class _Session:
    """An engine with one request at a time, and what it has sent."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.delivery = self._take
        self._ids = 0
        self.received: dict[type, Message] = {}
        self.latencies: Latencies | None = None

    def new_id(self) -> int:
        """Return an id for a request."""
        self._ids += 1
        return self._ids

    def _take(self, _job: events.Job, message: Message) -> None:
        now_s = time.perf_counter()
        self.received[type(message)] = message
        if isinstance(message, Ending):
            self.received[Ending] = message
        if self.latencies is None:
            return
        if isinstance(message, Step):
            (handle,) = message.handles
            self.latencies.stepped(message.step, handle.place_px, handle.distance_px)
        elif isinstance(message, Preview):
            self.latencies.previewed(now_s, message.step)

    def submit(self, request: Sample | Drag) -> None:
        """Submit a request."""
        self.received.clear()
        self._runtime.dispatch(events.JobSubmitted(events.Job(request, _IMAGE, "Benchmark")))

    def until(self, kind: type) -> None:
        """Wait for a message of a kind.

        Raises:
            RuntimeError: It does not arrive, or the request failed.
        """
        self._runtime.run_until(
            lambda _state: kind in self.received or Ending in self.received, _TIMEOUT_S
        )
        ending = self.received.get(Ending)
        if isinstance(ending, Failed):
            raise RuntimeError(ending.message)
        if kind not in self.received:
            raise RuntimeError("the engine does not answer; see its log")


@contextmanager
def _engine(device: str, folder: Path) -> Iterator[Runtime]:
    runtime = Runtime()
    settings = EngineSettings(
        python=Path(sys.executable), root=ROOT, device=device, log_folder=folder
    )
    runtime.settings = lambda: settings
    try:
        yield runtime
    finally:
        runtime.shut_down()


def measure(
    model: str, device: str, folder: Path, *, seconds: float, rate: float
) -> tuple[Latencies, Runtime]:
    """Move a target for some seconds while a drag is running.

    Args:
        model: A built-in model's name, or a file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        folder: For the log, the image and the frames.
        seconds: How long the target moves.
        rate: New places per second.

    Returns:
        The latencies, and the runtime, which has ended, for its statistics.

    Raises:
        RuntimeError: The engine does not answer, or a request failed.
    """
    with _engine(device, folder) as runtime:
        session = _Session(runtime)
        session.submit(
            Sample(
                request_id=session.new_id(),
                model_path=model,
                seed=4,
                truncation_psi=0.7,
                image_path=str(folder / "image.png"),
            )
        )
        session.until(Ending)
        loaded, sampled = session.received[ModelLoaded], session.received[Sampled]
        assert isinstance(loaded, ModelLoaded)
        assert isinstance(sampled, Sampled)
        side = loaded.width
        start = (0.513 * side, 0.554 * side)
        request_id = session.new_id()
        drag = Drag(
            request_id=request_id,
            model_path=model,
            drag_id=request_id,
            latent=sampled.latent,
            pairs=(Pair(key=1, handle_px=start, target_px=start),),
            frames=FrameTarget(folder=str(folder / "drag"), stem="drag", first_number=1),
            live=True,
        )
        session.submit(drag)
        session.until(Preview)
        runtime.run_until(lambda _state: False, 1.0)
        runtime.stats.clear()
        session.latencies = latencies = Latencies()
        began_s, count = time.perf_counter(), 0
        while (now_s := time.perf_counter()) < began_s + seconds:
            if now_s >= began_s + count / rate:
                angle = math.tau * (now_s - began_s) / _TURN_S
                # A spiral, so that no two targets are at the same place.
                radius = side * _RADIUS * (0.6 + 0.4 * (now_s - began_s) / seconds)
                target = (start[0] + radius * math.sin(angle), start[1] + radius * math.cos(angle))
                pair = Pair(key=1, handle_px=start, target_px=target)
                latencies.sent(now_s, target)
                change = ReplacePairs(request_id=request_id, pairs=(pair,), live=True)
                runtime.dispatch(events.JobChangeAsked(_IMAGE, change))
                count += 1
            time.sleep(min(runtime.tick(), max(0.0, began_s + count / rate - now_s)))
        session.latencies = None
        runtime.dispatch(events.JobCancelAsked(_IMAGE))
        session.until(Ending)
        return latencies, runtime


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench live``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dev.py bench live", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="suzanne", help="a built-in model, a file, or 1024")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the target moves")
    parser.add_argument("--rate", type=float, default=60.0, help="new places per second")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model if not options.model.isdigit() else _random(options.model, folder)
        latencies, runtime = measure(
            model, options.device, folder, seconds=options.seconds, rate=options.rate
        )
    print(f"{options.model}, {options.rate:g} targets per second")
    print("\n".join(latencies.lines(options.seconds)))
    stats = runtime.stats
    print(f"  {1000 * stats.working.median_s:7.2f} ms for a tick that delivers, median")
    print(f"  {1000 * stats.all.percentile_s(0.99):7.2f} ms, 99 % of all ticks")
    print(f"  {1000 * stats.all.max_s:7.2f} ms, the longest tick")
    return 0


def _random(resolution: str, folder: Path) -> str:
    """Write a network with random weights, and return its path."""
    import torch

    from stylegan2 import save_generator

    path = folder / f"random{resolution}.safetensors"
    save_generator(make_generator(resolution, torch.device("cpu")), path)
    return str(path)
