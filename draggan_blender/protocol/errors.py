# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the protocol: one for messages of this process, one for bytes of the other."""

from __future__ import annotations


class ProtocolError(Exception):
    """Base class of the two errors; not raised itself."""


class LocalProtocolError(ProtocolError):
    """This process tried to make or send a message that the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The bytes from the peer are not allowed by the protocol; the connection has to be closed."""


def require(condition: bool, text: str) -> None:
    """Check a condition on a message.

    Raises:
        LocalProtocolError: The condition is False; ``text`` is the message of the error.
    """
    if not condition:
        raise LocalProtocolError(text)


def require_pixels(width: int, height: int, pixels: bytes) -> None:
    """Check the pixels of an image, ``height x width x 4`` float32.

    Raises:
        LocalProtocolError: The size is not positive, or there are more or fewer bytes.
    """
    require(width > 0 and height > 0, "width and height must be positive")
    expected, found = width * height * 16, len(pixels)
    require(found == expected, f"pixels must have {expected} bytes, not {found}")


def require_label(label: int) -> None:
    """Check the label of a request; -1 is none.

    Raises:
        LocalProtocolError: The label is out of range.
    """
    require(-1 <= label < 65536, f"label must be -1 to 65535, not {label}")
