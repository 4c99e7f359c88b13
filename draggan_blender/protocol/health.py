# SPDX-License-Identifier: GPL-3.0-or-later
"""The message by which the engine shows that it is alive, also while it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .messages import Message

# How often the engine sends a ``Pulse``.
PULSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse(Message):
    """The engine is alive; sent every ``PULSE_S`` seconds from the welcome on.

    Attributes:
        passes: A number that rises with each part of a computation that the worker has finished.
            If it does not, the worker makes no progress.
    """

    kind: ClassVar[str] = "pulse"
    passes: int


HEALTH_MESSAGES: tuple[type[Message], ...] = (Pulse,)
