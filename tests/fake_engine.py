# SPDX-License-Identifier: GPL-3.0-or-later
"""A deterministic engine without PyTorch, with the real one's command line, input and messages.

``fake_root.make_fake_root`` runs it as a program in the place of the real engine. Its images are
painted by ``fake_generator``, its bakes are in ``fake_bake``, and ``fake_faults`` lists the faults
that it can be asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from draggan_blender.protocol import PROTOCOL_VERSION, Decoder, drag_messages, encode, live
from draggan_blender.protocol import explore as e
from draggan_blender.protocol import messages as m
from draggan_blender.protocol import own_picture as o
from draggan_blender.protocol import pairs as p
from draggan_blender.protocol import parts as q
from draggan_blender.protocol import timeline as t
from draggan_blender.protocol.file_names import matte_stem
from tests import fake_bake
from tests.fake_drag import FakeDrag
from tests.fake_faults import Faults, end, hang
from tests.fake_generator import (
    NUM_WS,
    SIZE_PX,
    W_DIM,
    latent_of,
    paint,
    preview_pixels,
    write_png,
)

# ---------------------------------------------------------------- the engine


class FakeEngine:
    """The engine's end of one connection; it does one request at a time."""

    def __init__(self, connection: socket.socket, options: argparse.Namespace) -> None:
        self.connection = connection
        self.faults: Faults = options.faults
        self.steps: int = options.steps
        self.step_s: float = options.step_s
        self.decoder = Decoder(trusted=True)
        self.requests: deque[m.Request] = deque()
        self.stopped: set[int] = set()
        self.cancelled: set[int] = set()
        self.paused: set[int] = set()
        # The newest pairs that have arrived for a drag and are not used yet.
        self.changes: dict[int, live.ReplacePairs] = {}
        self.model_path = ""
        self.handlers: dict[type, Callable[..., None]] = {
            m.LoadModel: lambda request: None,
            m.Sample: self.sample,
            drag_messages.Drag: lambda request: FakeDrag(self, request).run(),
            live.CheckPoints: self.check_points,
            q.FindParts: self.find_parts,
            o.InvertPicture: self.invert,
            o.BlendBack: self.blend_back,
            e.SampleSheet: self.sheet,
            m.RenderTrack: lambda request: fake_bake.render_track(self, request),
            m.RenderLatent: lambda request: self.render(request.latent, request.image_path),
            t.Bake: lambda request: fake_bake.bake(self, request),
            t.RenderLatents: lambda request: fake_bake.render_latents(self, request),
        }

    def send(self, message: m.Message) -> None:
        """Send a message; waits until the kernel has taken all of it."""
        try:
            self.connection.sendall(encode(message))
        except OSError:
            self.end_without_connection()

    def end_without_connection(self) -> None:
        """End, because the connection has ended; or hang, if that fault was asked for."""
        if "refuse_end" in self.faults:
            hang()
        end()

    def listen(self, timeout_s: float) -> None:
        """Receive messages, waiting up to ``timeout_s`` seconds for the first."""
        readable, _, _ = select.select([self.connection], [], [], timeout_s)
        if not readable:
            return
        try:
            data = self.connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.end_without_connection()
        for message in self.decoder.feed(data):
            self.receive(message)

    def receive(self, message: m.Message) -> None:
        """Queue a request, or note that one is to be stopped or cancelled."""
        if isinstance(message, m.Shutdown) and "refuse_end" not in self.faults:
            end()
        elif isinstance(message, m.Request):
            self.requests.append(message)
        elif isinstance(message, m.Stop):
            self.stopped.add(message.request_id)
        elif isinstance(message, m.Cancel):
            self.cancelled.add(message.request_id)
        elif isinstance(message, live.ReplacePairs):
            self.changes[message.request_id] = message
        elif isinstance(message, live.Pause):
            change = self.paused.add if message.paused else self.paused.discard
            change(message.request_id)

    def run(self) -> NoReturn:
        """Serve until Blender ends the engine."""
        while True:
            self.listen(0.0 if self.requests else 0.5)
            if self.requests:
                self.answer(self.requests.popleft())

    def answer(self, request: m.Request) -> None:
        """Do a request, from its first event to its ending."""
        number = request.request_id
        if "fail" in self.faults and not isinstance(request, m.LoadModel):
            text = "The fake engine was asked to fail."
            print(f"RuntimeError: {text}", file=sys.stderr)
            self.send(m.Failed(request_id=number, cause="model", message=text))
            return
        if isinstance(request, m.ModelRequest) and (
            request.model_path != self.model_path or isinstance(request, m.LoadModel)
        ):
            self.load(request)
        if number not in self.cancelled:
            self.handlers[type(request)](request)
        if number in self.cancelled:
            self.send(m.Cancelled(request_id=number))
        else:
            self.send(m.Done(request_id=number))

    def load(self, request: m.ModelRequest) -> None:
        """Pretend to load a model; every path is accepted."""
        self.model_path = request.model_path
        self.send(m.Progress(request_id=request.request_id, fraction=0.0, text="Loading"))
        self.send(
            m.ModelLoaded(
                request_id=request.request_id,
                path=request.model_path,
                sha256=f"{zlib.crc32(request.model_path.encode()):064x}",
                width=SIZE_PX,
                height=SIZE_PX,
                num_ws=NUM_WS,
                w_dim=W_DIM,
                z_dim=W_DIM,
                c_dim=0,
            )
        )

    def sample(self, request: m.Sample) -> None:
        """Write the image of a seed and send its latent."""
        latent = latent_of(request.seed, request.truncation_psi)
        self.render(latent, request.image_path)
        self.send(m.Sampled(request_id=request.request_id, latent=latent))

    def sheet(self, request: e.SampleSheet) -> None:
        """Send the image of each seed, until the request is cancelled."""
        for seed in request.seeds:
            self.listen(self.step_s)
            if request.request_id in self.cancelled:
                return
            pixels = preview_pixels(paint(latent_of(seed, request.truncation_psi)))
            self.send(
                e.SeedThumbnail(
                    request_id=request.request_id,
                    seed=seed,
                    width=SIZE_PX,
                    height=SIZE_PX,
                    pixels=pixels,
                )
            )

    def render(self, latent: bytes, path: str) -> None:
        """Render a latent to a PNG."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_png(Path(path), paint(latent))

    def frame(self, request: fake_bake.Sequenced, index: int, latent: bytes) -> list[Path]:
        """Write a frame of a sequence, and with frame 0 the file before it; return the paths."""
        target = request.frames
        numbers = [target.first_number + index]
        if index == 0:
            numbers.insert(0, target.first_number - 1)
        paths = [fake_bake.frame_path(target, number - target.first_number) for number in numbers]
        for number, path in zip(numbers, paths, strict=True):
            self.render(latent, str(path))
            self.send(m.FrameWritten(request_id=request.request_id, number=number, path=str(path)))
        return paths

    def check_points(self, request: live.CheckPoints) -> None:
        """Say that the left quarter of the image is plain."""
        flat = tuple(x < SIZE_PX / 4 for x, _ in request.points_px)
        self.send(live.PointsChecked(request_id=request.request_id, flat=flat))

    def invert(self, request: o.InvertPicture) -> None:
        """Find the image of seed 5 in each picture, in ``steps`` steps, or until it is stopped.

        The frame is refined by a pixel.
        """
        number, latent = request.request_id, latent_of(5, 1.0)
        for step in range(self.steps):
            self.listen(self.step_s)
            if number in self.cancelled:
                return
            if number in self.stopped:
                break
            fraction = step / self.steps
            self.send(m.Progress(request_id=number, fraction=fraction, text="Finding"))
            if request.previews:
                self.send(
                    drag_messages.Preview(
                        request_id=number,
                        drag_id=number,
                        step=step,
                        width=SIZE_PX,
                        height=SIZE_PX,
                        pixels=preview_pixels(paint(latent)),
                    )
                )
        self.render(latent, request.image_path)
        if request.difference_path:
            Path(request.difference_path).write_bytes(b"difference")
        frame = request.alignment
        x, y = frame.centre_px
        path = request.difference_path or request.model_path
        self.send(
            o.PictureInverted(
                request_id=number,
                latent=latent,
                alignment=replace(frame, centre_px=(x + 1.0, y)) if request.refine else frame,
                error=0.03,
                tuned_error=0.01 if request.tune else -1.0,
                coverage="roughly",
                sentence="The model covers it roughly",
                model_path=path,
                model_sha256=f"{zlib.crc32(path.encode()):064x}",
            )
        )

    def blend_back(self, request: o.BlendBack) -> None:
        """Write the image of the latent, or three frames, in place of the composed picture.

        The mattes are the same images.
        """
        if request.latent:
            self.render(request.latent, request.image_path)
            if request.matte:
                path = Path(request.image_path)
                self.render(request.latent, str(path.with_stem(matte_stem(path.stem))))
            return
        mattes = replace(request.frames, stem=matte_stem(request.frames.stem))
        for index in range(3):
            self.break_down(index)
            if request.matte:
                self.render(request.base, str(fake_bake.frame_path(mattes, index)))
            self.frame(request, index, request.base)

    def find_parts(self, request: q.FindParts) -> None:
        """Send a tree of 4 x 4 cells: the quarters of the image, its halves, and all of it."""
        quarters = [2 * (cell // 8) + cell % 4 // 2 for cell in range(16)]
        # In each quarter, its four cells are joined one after the other.
        parents, following = [0] * 31, 16
        tops = []
        for quarter in range(4):
            cells = [cell for cell in range(16) if quarters[cell] == quarter]
            top = cells[0]
            for cell in cells[1:]:
                parents[top] = parents[cell] = following
                top, following = following, following + 1
            tops.append(top)
        for first, second in ((0, 1), (2, 3)):
            parents[tops[first]] = parents[tops[second]] = following
            following += 1
        parents[28] = parents[29] = 30
        parents[30] = -1
        self.send(
            q.PartsFound(
                request_id=request.request_id,
                rows=4,
                columns=4,
                parents=struct.pack("<31i", *parents),
                heights=struct.pack("<15f", *[0.001] * 12, 1.0, 1.0, 2.0),
            )
        )

    def report(
        self,
        request: drag_messages.Drag,
        step: int,
        steps: int,
        latent: bytes,
        states: tuple[p.HandleState, ...],
    ) -> None:
        """Send the events of a step of a drag, and do the faults that are due at it."""
        number, distance_px = request.request_id, max(state.distance_px for state in states)
        shown = preview(request, step, latent)
        self.misbehave(shown, step)
        self.send(
            drag_messages.Step(
                request_id=number,
                drag_id=request.drag_id,
                step=step,
                loss=distance_px / 10,
                distance_px=distance_px,
                handles=states,
            )
        )
        self.send(m.Progress(request_id=number, fraction=min(step / steps, 1.0), text="Dragging"))
        self.send(shown)

    def misbehave(self, shown: drag_messages.Preview, step: int) -> None:
        """Do the faults that are due at a step of a drag or a frame of a bake."""
        self.break_down(step)
        if self.faults.at("half_frame", step):
            self.connection.sendall(encode(shown)[:1000])
            end()
        for _ in range(int(self.faults.value("flood"))):
            self.send(replace(shown, width=1024, height=1024, pixels=bytes(16 << 20)))

    def break_down(self, step: int) -> None:
        """Crash or hang if that is due at a step of a drag, or at a frame of a sequence."""
        if self.faults.at("crash_at_step", step):
            print("RuntimeError: the fake engine was asked to crash", file=sys.stderr)
            end(3)
        if self.faults.at("hang_at_step", step):
            hang()


def preview(request: drag_messages.Drag, step: int, latent: bytes) -> drag_messages.Preview:
    """Return the preview of a step."""
    return drag_messages.Preview(
        request_id=request.request_id,
        drag_id=request.drag_id,
        step=step,
        width=SIZE_PX,
        height=SIZE_PX,
        pixels=preview_pixels(paint(latent)),
    )


# ---------------------------------------------------------------- the program


def watch_parent(faults: Faults) -> None:
    """End the process when standard input ends, because then the parent has ended."""
    while sys.stdin.buffer.read(1):
        pass
    if "refuse_end" not in faults:
        end()


def arguments() -> argparse.Namespace:
    """Return the real engine's arguments, and those of the fake engine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--device", required=True)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--step-s", type=float, default=0.005)
    parser.add_argument("--fault", action="append", default=[])
    options = parser.parse_args()
    options.faults = Faults(options.fault)
    return options


def shake_hands(connection: socket.socket, token: str, faults: Faults) -> None:
    """Send the hello and wait for the welcome, with the faults of a start."""
    if "garbage_first" in faults:
        connection.sendall(random.Random(0).randbytes(5000))
    hello = m.Hello(
        protocol_version=PROTOCOL_VERSION + ("wrong_version" in faults),
        token="0" * 64 if "wrong_token" in faults else token,
        pid=os.getpid(),
    )
    connection.sendall(encode(hello))
    if "end_after_hello" in faults:
        end()
    if "wrong_token" in faults or "garbage_first" in faults:
        hang()
    decoder = Decoder(trusted=True)
    while not any(isinstance(message, m.Welcome) for message in decoder.feed(read(connection))):
        pass
    if "garbage" in faults:
        connection.sendall(random.Random(0).randbytes(5000))
    if "huge_header" in faults:
        connection.sendall(struct.pack(">II", 2**31, 0))
    if "startup_failed" in faults:
        text = "PyTorch is not installed in the engine's Python; press Install Engine."
        connection.sendall(encode(m.StartupFailed(message=text)))
        end(1)


def read(connection: socket.socket) -> bytes:
    """Return the next bytes, or end the program if the connection has ended."""
    try:
        data = connection.recv(4096)
    except OSError:
        data = b""
    return data or end()


def main() -> None:
    """Connect to Blender and serve."""
    options = arguments()
    faults: Faults = options.faults
    if "refuse_end" in faults and os.name != "nt":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    address = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=watch_parent, args=(faults,), daemon=True).start()
    if "silent" in faults:
        hang()
    time.sleep(faults.value("slow_start"))
    connection = socket.create_connection(("127.0.0.1", address["port"]))
    shake_hands(connection, address["token"], faults)
    time.sleep(faults.value("slow_ready"))
    connection.sendall(
        encode(m.Ready(device=options.device, device_name="Fake device", torch_version="0.0"))
    )
    FakeEngine(connection, options).run()


if __name__ == "__main__":
    main()
