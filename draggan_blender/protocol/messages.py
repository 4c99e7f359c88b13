# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message, as a frozen dataclass that checks itself.

Rules that hold for all of them:

- A *request* (Blender to engine) carries a ``request_id`` and ends in exactly one of
  :class:`Done`, :class:`Failed`, :class:`Cancelled`. Events of the request come before that.
- Points are image pixels ``(x, y)`` of the generator's own resolution: float, origin top-left,
  pixel centres at half-integers.
- Latents are ``num_ws x w_dim`` float32, little-endian, row by row. Masks are ``H x W`` bytes,
  top row first, 255 = may change, 0 = stays. Previews are float32 RGBA in [0, 1], bottom row
  first: the layout that Blender's images take.
- Binary fields (``bytes``) travel beside the JSON header, never inside it.

In order: the connection itself, parts of requests, requests, events, endings.

``PROTOCOL_VERSION`` rises with every change of a message or of what one means:
1: first version. 2: edits on the timeline; parts of a track can be rendered. 3: previews only as
they are shown; the block that a mask holds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import ClassVar

from .errors import LocalProtocolError
from .settings import DragSettings

PROTOCOL_VERSION = 3

Point = tuple[float, float]

_FILE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def require(condition: bool, text: str) -> None:
    """Hold a message to what its class promises.

    Raises:
        LocalProtocolError: it does not hold; ``text`` says what.
    """
    if not condition:
        raise LocalProtocolError(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base of everything that crosses the wire; ``kind`` names the class there."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Message):
    """Base of what Blender asks for. ``request_id`` is positive and never used twice."""

    request_id: int

    def __post_init__(self) -> None:
        require(self.request_id > 0, f"request_id must be positive, not {self.request_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Message):
    """Base of what the engine reports about a request."""

    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending(Event):
    """Base of the three ways in which a request ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """The engine's first message; its layout never changes, so that any two versions can talk."""

    kind: ClassVar[str] = "hello"
    protocol_version: int
    token: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Message):
    """Blender's answer to a proven token and an equal version."""

    kind: ClassVar[str] = "welcome"
    protocol_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Message):
    """The engine has loaded torch and chosen its device (``cpu``, ``cuda:0``, ``mps``)."""

    kind: ClassVar[str] = "ready"
    device: str
    device_name: str
    torch_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupFailed(Message):
    """The engine cannot work at all (torch missing, device missing) and is about to end."""

    kind: ClassVar[str] = "startup_failed"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(Message):
    """Blender asks the engine to end."""

    kind: ClassVar[str] = "shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One handle and its target, image pixels."""

    handle_px: Point
    target_px: Point

    def __post_init__(self) -> None:
        for value in (*self.handle_px, *self.target_px):
            require(math.isfinite(value), f"a point must be finite, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTarget:
    """Where a sequence goes: ``folder/stem_0001.png``, numbered from ``first_number`` on.

    One more file, numbered ``first_number - 1``, repeats the first image: Blender shows it
    before the sequence begins, where a missing file would be magenta.
    """

    folder: str
    stem: str
    first_number: int

    def __post_init__(self) -> None:
        require(bool(_FILE_STEM.fullmatch(self.stem)), f"not a plain file name: {self.stem!r}")
        require(self.first_number >= 1, f"first_number must be 1 or more: {self.first_number}")
        require(bool(self.folder), "the folder of a sequence must not be empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest(Request):
    """Base of requests that need a generator.

    The engine keeps the last model and loads another when ``model_path`` names one.
    ``model_sha256`` is empty for "any", else the file must be that very one.
    """

    model_path: str
    model_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel(ModelRequest):
    """Load a checkpoint and say what is in it (:class:`ModelLoaded`)."""

    kind: ClassVar[str] = "load_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(ModelRequest):
    """The image of a seed: a :class:`Sampled` latent, and a PNG at ``image_path``."""

    kind: ClassVar[str] = "sample"
    seed: int
    truncation_psi: float
    image_path: str

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(0 <= self.seed < 2**32, f"a seed is in 0 to 4294967295, not {self.seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drag(ModelRequest):
    """Move the handles of ``pairs`` to their targets, starting from ``latent``.

    ``mask`` is empty for "everything may change", else ``H x W`` bytes of the generator's size.
    ``previews``: False where nobody looks.
    Events: :class:`Progress`, :class:`Step`, :class:`Preview`, :class:`FrameWritten` and one
    :class:`DragFinished`.
    """

    kind: ClassVar[str] = "drag"
    drag_id: int
    latent: bytes
    pairs: tuple[Pair, ...]
    settings: DragSettings = field(default_factory=DragSettings)
    mask: bytes = b""
    frames: FrameTarget
    previews: bool = True

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.pairs), "a drag needs at least one pair of points")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderTrack(ModelRequest):
    """Render frames of a track (the bytes of a ``track.npz``) again, without solving.

    ``frames.first_number`` is that of the track's row 0. ``row_count`` rows from ``first_row`` on
    are rendered, all the rest where it is 0; with ``skip_existing`` those that have no file yet.
    """

    kind: ClassVar[str] = "render_track"
    track: bytes
    frames: FrameTarget
    first_row: int = 0
    row_count: int = 0
    skip_existing: bool = False

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        inside = self.first_row >= 0 and self.row_count >= 0
        require(inside, f"no rows are {self.first_row} + {self.row_count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderLatent(ModelRequest):
    """Render one latent to a PNG."""

    kind: ClassVar[str] = "render_latent"
    latent: bytes
    image_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Message):
    """End a drag where it is and keep what it has reached; the request ends as done."""

    kind: ClassVar[str] = "stop"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Message):
    """Give a request up, queued or running; it ends as cancelled and leaves no result."""

    kind: ClassVar[str] = "cancel"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewShown(Message):
    """The last preview of a request was taken in: the next will not come in its way."""

    kind: ClassVar[str] = "preview_shown"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoaded(Event):
    """A model was read: its size in pixels and the sizes of its latents."""

    kind: ClassVar[str] = "model_loaded"
    path: str
    sha256: str
    width: int
    height: int
    num_ws: int
    w_dim: int
    z_dim: int
    c_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Event):
    """The latent of a seed; its image is written by now."""

    kind: ClassVar[str] = "sampled"
    latent: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How far a request is, 0 to 1, and what is being done, for the panel."""

    kind: ClassVar[str] = "progress"
    fraction: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Event):
    """One step of a drag: where the handles are and how far the farthest is from its target."""

    kind: ClassVar[str] = "step"
    drag_id: int
    step: int
    loss: float
    distance_px: float
    handles_px: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Event):
    """The image of a step, ready for ``Image.pixels.foreach_set``; latest wins.

    After one of them no other is made before :class:`PreviewShown` has come, except the last.
    """

    kind: ClassVar[str] = "preview"
    drag_id: int
    step: int
    width: int
    height: int
    pixels: bytes

    def __post_init__(self) -> None:
        require(self.width > 0 and self.height > 0, "a preview has a width and a height")
        expected = self.width * self.height * 16
        found = len(self.pixels)
        require(found == expected, f"a preview of {expected} bytes expected, {found} found")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWritten(Event):
    """A file of the sequence stands complete under its name."""

    kind: ClassVar[str] = "frame_written"
    number: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DragFinished(Event):
    """The result of a drag. ``status``: reached, stalled, step_limit or stopped.

    A sequence may have more frames than ``steps`` were made, so that it goes evenly, and fewer,
    where the last steps came no nearer.
    ``track`` holds the bytes of the ``track.npz``: the truth from which every frame can be
    rendered again. ``handles_px``: ``frame_count x P x 2`` float32, little-endian, P points for
    each frame of the sequence in the order of the request's pairs.
    """

    kind: ClassVar[str] = "drag_finished"
    drag_id: int
    status: str
    reason: str
    steps: int
    distance_px: float
    seconds: float
    latent: bytes
    track: bytes
    frame_count: int
    handles_px: bytes

    def __post_init__(self) -> None:
        found, row = len(self.handles_px), 8 * self.frame_count
        require(row > 0 < found and found % row == 0, f"{found} bytes are no rows of points")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Ending):
    """The request is finished and all that it was to write is written."""

    kind: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Ending):
    """The request could not be done. ``cause``: model, request, files, memory or internal.

    Blender's side makes one itself, with the cause ``engine``, for each request of a lost engine.
    """

    kind: ClassVar[str] = "failed"
    cause: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Ending):
    """The request was given up because Blender asked for it."""

    kind: ClassVar[str] = "cancelled"


MESSAGES: tuple[type[Message], ...] = (
    Hello,
    Welcome,
    Ready,
    StartupFailed,
    Shutdown,
    LoadModel,
    Sample,
    Drag,
    RenderTrack,
    RenderLatent,
    Stop,
    Cancel,
    PreviewShown,
    ModelLoaded,
    Sampled,
    Progress,
    Step,
    Preview,
    FrameWritten,
    DragFinished,
    Done,
    Failed,
    Cancelled,
)
