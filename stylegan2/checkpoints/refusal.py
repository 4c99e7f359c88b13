# SPDX-License-Identifier: GPL-3.0-or-later
"""How the readers say no.

Deep inside a reader nobody knows the file's name, and a sentence needs one.  So the readers raise
`Refusal` with the rest of the sentence, and the package's entry points turn it, once, into a
`ModelError` about the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ModelError, ModelErrorKind


class Refusal(Exception):  # noqa: N818 (not the program's error)
    """A reason not to read a file, phrased as what its name is the subject of: "is a web page"."""

    def __init__(self, kind: ModelErrorKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def damaged(reason: str, advice: str = "download it again") -> Refusal:
    """A refusal because the file is truncated, inconsistent or beyond a limit."""
    return Refusal(ModelErrorKind.DAMAGED, f"{reason}; {advice}")


def unsupported(reason: str) -> Refusal:
    """A refusal because the file holds a network or a container that is not read."""
    return Refusal(ModelErrorKind.UNSUPPORTED, reason)


def unsafe(name: str, hint: str = "") -> Refusal:
    """A refusal because a pickle asks for something other than data.

    Args:
        name: the full name of what it asks for.
        hint: what that name tells about the file, if anything.
    """
    return Refusal(
        ModelErrorKind.UNSAFE,
        f"asks for {printable(name)}{hint}; only the tensors of a StyleGAN2 generator are wanted, "
        "so it was not loaded, and nothing in it was run",
    )


@contextmanager
def refusals_about(path: Path) -> Iterator[None]:
    """Turn refusals and the operating system's errors into `ModelError`s that name the file."""
    if "\0" in str(path):
        raise ModelError(ModelErrorKind.MISSING, "The model's path contains a zero byte.")
    try:
        yield
    except Refusal as refusal:
        raise ModelError(refusal.kind, f"{path.name} {refusal.reason}.") from refusal
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelError(
            ModelErrorKind.MISSING,
            f"{path} cannot be read: {reason}; choose a model file that is there and may be read.",
        ) from error


def printable(text: str, limit: int = 80) -> str:
    """Make text from a file fit for a message: plain ASCII, no control characters, not long."""
    shown = text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
