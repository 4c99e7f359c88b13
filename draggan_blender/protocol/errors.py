# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the protocol: one for a message that we made, one for bytes that we were sent."""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of both; never raised itself."""


class LocalProtocolError(ProtocolError):
    """We tried to make a message that the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer sent bytes that the protocol does not allow; the connection cannot go on."""
