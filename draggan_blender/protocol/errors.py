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


def require_label(label: int) -> None:
    """Check the label of a request; -1 is none.

    Raises:
        LocalProtocolError: The label is out of range.
    """
    require(-1 <= label < 65536, f"label must be -1 to 65535, not {label}")
