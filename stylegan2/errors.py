# SPDX-License-Identifier: GPL-3.0-or-later
"""The exception that reading and writing model files raises.

Wrong calls of the network (a tensor of the wrong shape, a resolution that the model does not have)
raise ``ValueError``. Everything that can be wrong with a *file* raises ``ModelError``: its message
is one sentence for the person who chose the file, and its ``kind`` lets a program tell the cases
apart without reading that sentence.
"""

from __future__ import annotations

from enum import StrEnum


class ModelErrorKind(StrEnum):
    """What is wrong with a model file, in the coarse classes that a caller reacts to."""

    # The path does not exist, is a folder, or cannot be opened.
    MISSING = "missing"
    # The file is something else: a web page, an image, a Git LFS pointer, an empty file.
    NOT_A_MODEL = "not_a_model"
    # The file is a model, but of a network or in a container that this version does not read.
    UNSUPPORTED = "unsupported"
    # The file is a model, but truncated, inconsistent, or beyond the limits of the reader.
    DAMAGED = "damaged"
    # The file is a pickle that asks for something other than data; none of it was run.
    UNSAFE = "unsafe"
    # The destination could not be written.
    WRITE = "write"


class ModelError(Exception):
    """A model file cannot be read or written.

    Attributes:
        kind: The class of the cause.
        message: One sentence: what was expected, what was found, what to do.
    """

    def __init__(self, kind: ModelErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
