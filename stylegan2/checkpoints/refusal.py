# SPDX-License-Identifier: GPL-3.0-or-later
"""The exception that readers raise, and its conversion to a ``ModelError``.

The inner functions of a reader do not know the name of the file, and the message needs it. So they
raise ``Refusal`` with the rest of the sentence, and the public functions of the package convert it
to a ``ModelError`` about the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ModelError, ModelErrorKind


class Refusal(Exception):  # noqa: N818 (it is converted to a ModelError)
    """A reason not to read a file, as a sentence without its subject: "is a web page".

    Attributes:
        kind: The class of the cause.
        reason: The sentence without the name of the file at its start and the full stop at its end.
    """

    def __init__(self, kind: ModelErrorKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def damaged(reason: str, advice: str = "download it again") -> Refusal:
    """Return a refusal of a file that is truncated, inconsistent or beyond a limit.

    Args:
        reason: The sentence without its subject.
        advice: What to do; it is appended after a semicolon.
    """
    return Refusal(ModelErrorKind.DAMAGED, f"{reason}; {advice}")


def unsupported(reason: str) -> Refusal:
    """Return a refusal of a file with a network or a container that is not supported.

    Args:
        reason: The sentence without its subject.
    """
    return Refusal(ModelErrorKind.UNSUPPORTED, reason)


def unsafe(name: str, hint: str = "") -> Refusal:
    """Return a refusal of a pickle that asks for something other than data.

    Args:
        name: The full name of the global that it asks for.
        hint: What that name says about the file, with a leading space; may be empty.
    """
    return Refusal(
        ModelErrorKind.UNSAFE,
        f"asks for {printable(name)}{hint}; only the tensors of a StyleGAN2 generator are "
        "expected, so it was not loaded, and nothing in it was run",
    )


@contextmanager
def refusals_about(path: Path) -> Iterator[None]:
    """Convert ``Refusal`` and ``OSError`` to a ``ModelError`` that names the file.

    Args:
        path: The file that the block reads.

    Raises:
        ModelError: The block raised one of them, or the path contains a zero byte.
    """
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
            f"{path} cannot be read: {reason}; choose a model file that exists and is readable.",
        ) from error


def printable(text: str, limit: int = 80) -> str:
    """Escape what could mislead in a name from a file, and shorten it to ``limit`` characters.

    Non-ASCII and control characters are escaped, and spaces and a full stop at the end, so that a
    name stays one word and cannot pass for a sentence of ours.
    """
    shown = text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
    shown = shown.replace(" ", r"\x20")
    if shown.endswith("."):
        shown = shown[:-1] + r"\x2e"
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
