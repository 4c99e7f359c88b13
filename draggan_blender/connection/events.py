# SPDX-License-Identifier: GPL-3.0-or-later
"""The events that ``session.transition`` takes, and the effects that it returns: pure data.

``client`` makes the events of the connection, ``runtime`` all others; ``runtime`` performs the
effects.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.live import Pause, ReplacePairs
from ..protocol.messages import Message, Request


@dataclass(frozen=True, slots=True)
class Job:
    """A request and the image that it is for.

    Attributes:
        request: What the engine does.
        image_id: The uuid of the image plane, or empty. Not a Blender object, because undo and
            file loading invalidate those.
        label: What is being done, for the panel: ``Drag Suzanne``.
        is_asked: Whether a person has asked for it: otherwise its failure is no error in the panel.
    """

    request: Request
    image_id: str
    label: str
    is_asked: bool = True


# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class StartAsked:
    """Blender or a script asked to start the engine."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Blender or a script asked to end the engine."""


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """Blender or a script submitted a job; it is queued, and the engine is started if it is off."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobStopAsked:
    """Blender or a script asked to end the jobs of an image; their results so far are kept."""

    image_id: str


@dataclass(frozen=True, slots=True)
class JobCancelAsked:
    """Blender or a script asked to cancel the jobs of an image, without a result."""

    image_id: str


@dataclass(frozen=True, slots=True)
class JobChangeAsked:
    """A drag of an image is to be changed while it runs, or before it runs.

    Attributes:
        image_id: The image.
        change: What changes; dropped if the image's drag has another request id.
    """

    image_id: str
    change: ReplacePairs | Pause


@dataclass(frozen=True, slots=True)
class DeliveryFailed:
    """The delivery callback raised an exception for a message of a job.

    Attributes:
        job: The job.
        message: The message that was delivered.
        detail: The exception, in words.
    """

    job: Job
    message: Message
    detail: str


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The engine's process could not be started; ``message`` is a sentence that says why."""

    message: str


@dataclass(frozen=True, slots=True)
class PeerProven:
    """The engine with process id ``pid`` connected and proved the token; the versions are equal."""

    pid: int


@dataclass(frozen=True, slots=True)
class PeerRefused:
    """The engine proved the token but uses another protocol version; ``message`` says which."""

    message: str


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The engine sent a message."""

    message: Message


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection to the engine has ended.

    Attributes:
        reason: Completes the sentence "The connection to the engine ...".
        by_us: Whether this side closed it. The process then ends because of that, so its exit code
            does not explain the loss.
    """

    reason: str
    by_us: bool = False


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """The engine's process has ended.

    Attributes:
        code: The exit code; -N if signal N ended the process.
        last_line: The last line of its log if that is an error, else empty.
    """

    code: int
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The time of ``session.timeout_s`` has passed without a message from the engine."""


@dataclass(frozen=True, slots=True)
class WentSilent:
    """The engine, which has a pulse, has sent nothing for ``session.SILENT_AFTER_S``."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A silent engine is not waited for any longer.

    Attributes:
        asked: Whether a person has ended it; otherwise nobody is there who could (a script,
            ``blender -b``, a farm).
    """

    asked: bool = False


# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start an engine process, and listen for its connection."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the engine."""

    message: Message


@dataclass(frozen=True, slots=True)
class Deliver:
    """Pass a message of a job to the delivery callback."""

    job: Job
    message: Message


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the connection and stop listening."""


@dataclass(frozen=True, slots=True)
class EndProcess:
    """End the engine's process; if ``politely``, give it time to follow the ``Shutdown`` sent."""

    politely: bool


SessionEvent = (
    StartAsked
    | StopAsked
    | JobSubmitted
    | JobStopAsked
    | JobCancelAsked
    | JobChangeAsked
    | DeliveryFailed
    | SpawnFailed
    | PeerProven
    | PeerRefused
    | MessageReceived
    | ConnectionLost
    | ProcessEnded
    | TimedOut
    | WentSilent
    | GivenUp
)
Effect = Spawn | Send | Deliver | Disconnect | EndProcess
