# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that reading or writing a checkpoint raises.

Wrong calls of the network itself (a tensor of the wrong shape, a resolution that it does not have)
raise `ValueError`, as anywhere in Python.  Everything that can be wrong with a *file* raises
`ModelError`, whose message is one sentence for the person who chose the file, and whose `kind` lets
a program tell the cases apart without reading the sentence.
"""

from __future__ import annotations

from enum import StrEnum


class ModelErrorKind(StrEnum):
    """What is wrong with a model file, in the coarse classes that a caller reacts to."""

    MISSING = "missing"
    """There is no file to read: the path does not exist, is a folder, or may not be opened."""
    NOT_A_MODEL = "not_a_model"
    """The file is something else: a web page, an image, a Git LFS pointer, an empty file."""
    UNSUPPORTED = "unsupported"
    """A model, but of a network or in a container that this version does not read."""
    DAMAGED = "damaged"
    """A model file that is truncated, inconsistent, or beyond the limits of the reader."""
    UNSAFE = "unsafe"
    """A pickle that asks for something other than data; nothing of it was run."""
    WRITE = "write"
    """The destination could not be written."""


class ModelError(Exception):
    """A checkpoint cannot be read or written.

    Attributes:
        kind: the class of the cause.
        message: one sentence: what was expected, what was found, what to do.
    """

    def __init__(self, kind: ModelErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
