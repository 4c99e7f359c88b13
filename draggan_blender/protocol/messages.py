# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the connection and of images, as frozen dataclasses with checks.

Rules for all messages, also those in ``timeline``:

- A *request* (Blender to engine) has a ``request_id`` and ends with exactly one ``Done``,
  ``Failed`` or ``Cancelled``. All other events of the request come before.
- Points are ``(x, y)`` in image pixels of the generator's output: float, origin at the top left,
  pixel centres at half-integers.
- Latents are ``num_ws x w_dim`` float32, little-endian, row by row; the latent of an image may have
  masked layers, see ``pictures``. Masks are ``H x W`` bytes, top
  row first; 255 may change, 0 stays. Previews are float32 RGBA in [0, 1], bottom row first, as in
  Blender's images.
- Binary fields (``bytes``) are sent after the JSON header, not inside it.

The order is: connection, parts of requests, requests, events, endings. Those of drags are in
``drag_messages``.

``PROTOCOL_VERSION`` rises with every change of a message or its meaning. 1: first version. 2: edits
on the timeline; parts of a track can be rendered. 3: a preview is sent only after the last one was
shown; the block whose features a mask holds can be chosen. 4: the pairs of a running drag can be
replaced; pairs can be regions; many seeds can be shown small; a drag can continue a sequence; drags
have a freedom. 5: masks can hold exactly, and latents can have masked layers. 6: a picture can be
shown small, and its parts asked for; bakes have animated strengths of masked edits. 7: the mask of
a drag can become larger while it runs; the engine has a pulse, and writes only below folders that
were agreed; models can be added to a library; directions of a model, which drags and bakes can be
kept out of; bakes have animated sliders; the latent of a person's picture can be found, and edits
blended back onto it; images of models with labels have a label; a change can be applied to many
images; handles that a mask holds are told; the sequence of a drag can begin earlier than its frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from .errors import require, require_label
from .file_names import GREATEST_FRAME
from .pictures import NO_LABEL

PROTOCOL_VERSION = 7

_FILE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def require_rows(handles_px: bytes, frame_count: int) -> None:
    """Check that bytes are ``frame_count x P x 2`` float32, with at least one frame and one point.

    Raises:
        LocalProtocolError: The number of bytes does not fit.
    """
    found, row = len(handles_px), 8 * frame_count
    fits = row > 0 < found and found % row == 0
    require(fits, f"handles_px has {found} bytes, which do not fit {frame_count} frames")


def require_stem(stem: str) -> None:
    """Check that text is what names of files may start with: letters, digits, ``_`` and ``-``.

    Raises:
        LocalProtocolError: It is something else.
    """
    require(bool(_FILE_STEM.fullmatch(stem)), f"not a plain file name: {stem!r}")


def require_frames(first_number: int, count: int = 1) -> None:
    """Check that Blender has the frames of a sequence.

    Raises:
        LocalProtocolError: The first one is below 1, or the last one is beyond Blender's last.
    """
    last = first_number + count - 1
    fits = first_number >= 1 and last <= GREATEST_FRAME
    require(fits, f"frames {first_number} to {last} are not within 1 to {GREATEST_FRAME}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base class of all messages; ``kind`` is the name of the class on the wire."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Message):
    """Base class of requests from Blender; ``request_id`` is positive and not used twice."""

    request_id: int

    def __post_init__(self) -> None:
        require(self.request_id > 0, f"request_id must be positive, not {self.request_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Message):
    """Base class of the engine's reports about a request."""

    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending(Event):
    """Base class of the three endings of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """The engine's first message; its layout is the same in all versions of the protocol."""

    kind: ClassVar[str] = "hello"
    protocol_version: int
    token: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Message):
    """Blender's answer to a hello with the right token and the same version."""

    kind: ClassVar[str] = "welcome"
    protocol_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Message):
    """The engine has imported PyTorch and opened its device (``cpu``, ``cuda:0``, ``mps``)."""

    kind: ClassVar[str] = "ready"
    device: str
    device_name: str
    torch_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupFailed(Message):
    """The engine cannot work, for lack of PyTorch or the device, and ends after this message."""

    kind: ClassVar[str] = "startup_failed"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(Message):
    """Blender asks the engine to end."""

    kind: ClassVar[str] = "shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTarget:
    """The files of a sequence: ``folder/stem_0001.png``, numbered from ``first_number`` on.

    One more file, with the number ``first_number - 1``, repeats the first image: Blender shows it
    before the sequence starts, and would show magenta if it were missing.
    """

    folder: str
    stem: str
    first_number: int

    def __post_init__(self) -> None:
        require_stem(self.stem)
        require_frames(self.first_number)
        require(bool(self.folder), "the folder of a sequence must not be empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest(Request):
    """Base class of requests that need a generator; the engine keeps the last one loaded.

    Attributes:
        model_path: The absolute path of the checkpoint.
        model_sha256: The hash that the checkpoint must have; empty for any.
    """

    model_path: str
    model_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel(ModelRequest):
    """Load a checkpoint and describe it with ``ModelLoaded``."""

    kind: ClassVar[str] = "load_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(ModelRequest):
    """Make the image of a seed: a PNG at ``image_path``, and its latent in ``Sampled``.

    Attributes:
        seed: 0 to 4294967295.
        truncation_psi: The truncation.
        image_path: The file to write.
        label: The label of a model with labels, from 0; -1 for no label. Other models ignore it.
    """

    kind: ClassVar[str] = "sample"
    seed: int
    truncation_psi: float
    image_path: str
    label: int = NO_LABEL

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(0 <= self.seed < 2**32, f"seed must be 0 to 4294967295, not {self.seed}")
        require_label(self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderTrack(ModelRequest):
    """Render rows of a track again, without solving.

    Attributes:
        track: The bytes of a ``track.npz``.
        frames: The files; ``first_number`` is the number of the track's row 0.
        first_row: The first row to render.
        row_count: How many rows to render; 0 for all from ``first_row`` on.
        skip_existing: Whether rows whose files exist are skipped.
    """

    kind: ClassVar[str] = "render_track"
    track: bytes
    frames: FrameTarget
    first_row: int = 0
    row_count: int = 0
    skip_existing: bool = False

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        rows = self.first_row, self.row_count
        require(min(rows) >= 0, f"first_row and row_count must be 0 or more, not {rows}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderLatent(ModelRequest):
    """Render a latent to a PNG at ``image_path``."""

    kind: ClassVar[str] = "render_latent"
    latent: bytes
    image_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Message):
    """End a drag, bake or inversion now and keep the result; the request ends with ``Done``."""

    kind: ClassVar[str] = "stop"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Message):
    """Cancel a queued or running request; it has no result and ends with ``Cancelled``."""

    kind: ClassVar[str] = "cancel"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoaded(Event):
    """A model was loaded: its checkpoint, and the size of its images in pixels.

    Latents are ``num_ws x w_dim``. The mapping network takes ``z_dim`` random numbers and a label
    vector of ``c_dim`` numbers; 0 for a model without labels. ``notes`` say what was
    assumed because the file does not contain it.
    """

    kind: ClassVar[str] = "model_loaded"
    path: str
    sha256: str
    width: int
    height: int
    num_ws: int
    w_dim: int
    z_dim: int
    c_dim: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Event):
    """The latent of a seed; its image has been written."""

    kind: ClassVar[str] = "sampled"
    latent: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """The progress of a request, 0 to 1, and what is being done, for the panel."""

    kind: ClassVar[str] = "progress"
    fraction: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWritten(Event):
    """A file of the sequence has been written completely."""

    kind: ClassVar[str] = "frame_written"
    number: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Ending):
    """The request has succeeded, and all its files are written."""

    kind: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Ending):
    """The request has failed.

    Attributes:
        cause: ``model``, ``request``, ``files``, ``memory`` or ``internal``; or ``engine``, which
            Blender's side sets for the requests of a lost engine.
        message: A sentence for the person.
    """

    kind: ClassVar[str] = "failed"
    cause: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Ending):
    """The request was cancelled because Blender asked for it."""

    kind: ClassVar[str] = "cancelled"


MESSAGES: tuple[type[Message], ...] = (
    Hello,
    Welcome,
    Ready,
    StartupFailed,
    Shutdown,
    LoadModel,
    Sample,
    RenderTrack,
    RenderLatent,
    Stop,
    Cancel,
    ModelLoaded,
    Sampled,
    Progress,
    FrameWritten,
    Done,
    Failed,
    Cancelled,
)
