# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for a request that cannot be carried out, and what a sentence may show of a file."""

from __future__ import annotations


class RequestError(ValueError):
    """A request that cannot be carried out.

    The message is a sentence for the user and is shown unchanged. A plain ``ValueError`` that comes
    out of the engine is a defect instead, and is reported with a traceback.
    """


def printable(text: str, most: int | None = 200) -> str:
    """Return a text from a file for a message: one line, which cannot control a terminal.

    Args:
        text: The text.
        most: The most characters of it; None for all.
    """
    return "".join(character if character.isprintable() else "?" for character in text[:most])
