# SPDX-License-Identifier: GPL-3.0-or-later
"""What can happen to the engine and its jobs, and what has to be done about it.

The vocabulary of :mod:`.session`, apart from its rules: events go in, effects come out. Pure
data; :mod:`.client` makes the events of the connection, :mod:`.runtime` the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.messages import Message, Request


@dataclass(frozen=True, slots=True)
class Job:
    """A request and whom it is for.

    ``image_id`` is the uuid of the image plane (empty: of none), never a Blender object, because
    undo and file loading invalidate those. ``label`` is for the panel: ``Drag Suzanne``.
    """

    request: Request
    image_id: str
    label: str


# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class StartAsked:
    """The person or a script wants the engine running."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The person or a script wants the engine to end."""


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A job to do as soon as it is its turn; starts the engine where it is off."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobStopAsked:
    """End the jobs of an image and keep what a drag has reached."""

    image_id: str


@dataclass(frozen=True, slots=True)
class JobCancelAsked:
    """Give the jobs of an image up."""

    image_id: str


@dataclass(frozen=True, slots=True)
class DeliveryFailed:
    """The scene side could not take in ``message`` of this job."""

    job: Job
    message: Message
    detail: str


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """No process could be started; ``message`` says why in a sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class PeerProven:
    """The engine connected and proved the token with the right protocol version."""

    pid: int


@dataclass(frozen=True, slots=True)
class PeerRefused:
    """The peer proved the token, but speaks another version of the protocol."""

    message: str


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The proven peer sent a message."""

    message: Message


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection to the proven peer is over; ``reason`` completes "the connection ...".

    ``by_us``: this side ended it, so the end of the process that follows explains nothing.
    """

    reason: str
    by_us: bool = False


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """The engine's process ended. ``last_line`` is the last that its log says, or empty."""

    code: int
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The timeout of the present phase has passed without what it waits for."""


# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start an engine process and listen for it."""


@dataclass(frozen=True, slots=True)
class Send:
    """Put a message into the outbox."""

    message: Message


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give a message to the scene side."""

    job: Job
    message: Message


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the connection and stop listening."""


@dataclass(frozen=True, slots=True)
class EndProcess:
    """See the process to its end. ``politely``: a Shutdown is on its way, give it time."""

    politely: bool


SessionEvent = (
    StartAsked
    | StopAsked
    | JobSubmitted
    | JobStopAsked
    | JobCancelAsked
    | DeliveryFailed
    | SpawnFailed
    | PeerProven
    | PeerRefused
    | MessageReceived
    | ConnectionLost
    | ProcessEnded
    | TimedOut
)
Effect = Spawn | Send | Deliver | Disconnect | EndProcess
