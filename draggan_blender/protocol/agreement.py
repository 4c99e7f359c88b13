# SPDX-License-Identifier: GPL-3.0-or-later
"""The message by which Blender agrees with the engine where results are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders(Message):
    """The folders below which the engine may write from now on; sent before the first request.

    Attributes:
        folders: Absolute paths. They replace those of the message before.
    """

    kind: ClassVar[str] = "folders"
    folders: tuple[str, ...]


AGREEMENT_MESSAGES: tuple[type[Message], ...] = (Folders,)
