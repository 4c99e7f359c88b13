# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the connection, of drags and of images, as frozen dataclasses with checks.

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

The order is: connection, parts of requests, requests, events, endings.

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
images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from .errors import require, require_label, require_pixels
from .file_names import GREATEST_FRAME
from .pairs import HandleState, Pair, require_pairs
from .pictures import NO_LABEL
from .settings import DragSettings

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
        require(bool(_FILE_STEM.fullmatch(self.stem)), f"not a plain file name: {self.stem!r}")
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
class Drag(ModelRequest):
    """Move the handles to their targets.

    Events: ``Progress``, ``Step``, ``Preview``, ``FrameWritten`` and one ``DragFinished``. While it
    runs, ``live.ReplacePairs`` replaces its pairs, ``live.Pause`` pauses it, and ``Stop`` ends it.

    Attributes:
        drag_id: Repeated in the events, so that those of another drag can be dropped.
        latent: The latent to start from.
        pairs: The handles and targets, at least one.
        settings: How the drag is solved.
        mask: ``H x W`` bytes of the generator's size, or empty if everything may change.
        wider_mask: What the layer of an exact mask is seen through from this drag on: at no place
            less than ``mask``, which says which layer it is. Empty for ``mask``.
        frames: The files of the resulting sequence.
        previews: Whether ``Preview`` events are sent.
        live: Whether the drag stays open: when it cannot come closer to the targets, it waits for
            other pairs and does not end. It ends after a ``ReplacePairs`` that is not live.
        earlier_track: The bytes of the ``track.npz`` of the sequence that the drag continues;
            empty if it starts a sequence.
        earlier_count: How many images of that sequence come before the first one of the drag. If
            there are more than it has, its last one is repeated.
        earlier_keys: The key of the pair of each handle in that track; 0 for a pair that was
            removed.
        earlier_folder: The folder of that sequence's files, which have the numbers of ``frames``.
            Those that exist are not rendered again; empty to render all.
        earlier_stem: What their names start with.
        locked: What the drag must not change, see ``directions``: any number of changes of the
            latent, ``num_ws x w_dim`` float32 each, one after the other.
        held_to: What it may change, likewise; empty for everything.
    """

    kind: ClassVar[str] = "drag"
    drag_id: int
    latent: bytes
    pairs: tuple[Pair, ...]
    settings: DragSettings = field(default_factory=DragSettings)
    mask: bytes = b""
    wider_mask: bytes = b""
    frames: FrameTarget
    previews: bool = True
    live: bool = False
    earlier_track: bytes = b""
    earlier_count: int = 0
    earlier_keys: tuple[int, ...] = ()
    earlier_folder: str = ""
    earlier_stem: str = ""
    locked: bytes = b""
    held_to: bytes = b""

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require_pairs(self.pairs)
        count, stem = self.earlier_count, self.earlier_stem
        require(count >= 0, f"earlier_count must be 0 or more, not {count}")
        require(bool(self.earlier_track) == (count > 0), "earlier images need a track")
        fits = not self.earlier_folder or _FILE_STEM.fullmatch(stem)
        require(bool(fits), f"not a plain file name: {stem!r}")


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
class PreviewShown(Message):
    """The last preview of a request is shown, so the engine may send the next one."""

    kind: ClassVar[str] = "preview_shown"
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
class Step(Event):
    """A step of a drag: the handles, and the distance of the farthest one from its target.

    Attributes:
        drag_id: The one of the request.
        step: The number of the step; 0 is the start.
        loss: The method's loss.
        distance_px: The distance of the farthest handle from its target, in image pixels.
        handles: The handles of the pairs that the step was made with, in their order.
    """

    kind: ClassVar[str] = "step"
    drag_id: int
    step: int
    loss: float
    distance_px: float
    handles: tuple[HandleState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Event):
    """The image of a step, as ``Image.pixels.foreach_set`` takes it; a later one replaces it.

    The engine sends no other before ``PreviewShown`` has arrived, except for the last one.
    """

    kind: ClassVar[str] = "preview"
    drag_id: int
    step: int
    width: int
    height: int
    pixels: bytes

    def __post_init__(self) -> None:
        require_pixels(self.width, self.height, self.pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWritten(Event):
    """A file of the sequence has been written completely."""

    kind: ClassVar[str] = "frame_written"
    number: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DragFinished(Event):
    """The result of a drag.

    Attributes:
        drag_id: The one of the request.
        status: ``reached``, ``stalled``, ``step_limit``, ``stopped`` or ``lost``.
        reason: The status as a sentence.
        steps: How many optimiser steps were made.
        distance_px: The distance of the farthest handle from its target, in image pixels.
        seconds: How long the drag took.
        latent: The last latent.
        track: The bytes of the ``track.npz``, from which every frame can be rendered again, with
            those before the drag.
        frame_count: How many frames the drag has added to the sequence. Frames are added so that it
            moves evenly, and the last steps are left out if they came no closer, so it can differ
            from ``steps``.
        handles: The handles of the P last pairs of the drag, at its end.
        handles_px: ``frame_count x P x 2`` float32, little-endian, the places of these handles in
            each frame. A handle that was added later is before that where it was added.
        turns: ``frame_count x P x 2`` float32, little-endian, the angle and the scale of these
            handles in each frame; empty if none is a region.
        is_beyond: Whether the drag came no closer because the model has no such images.
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
    handles: tuple[HandleState, ...]
    handles_px: bytes
    turns: bytes = b""
    is_beyond: bool = False

    def __post_init__(self) -> None:
        require_rows(self.handles_px, self.frame_count)
        sizes = 8 * self.frame_count * len(self.handles), len(self.handles_px)
        require(sizes[0] == sizes[1], f"handles_px must have {sizes[0]} bytes, not {sizes[1]}")
        turns = len(self.turns)
        require(turns in (0, sizes[1]), f"turns must have {sizes[1]} bytes, not {turns}")


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
