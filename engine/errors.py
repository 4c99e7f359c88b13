# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for a wish that cannot be granted, as opposed to a fault of the program."""

from __future__ import annotations


class RequestError(ValueError):
    """What was asked for cannot be done; the message is a sentence for the person who asked.

    A plain ``ValueError`` from somewhere inside is a defect of ours and gets a traceback; this one
    is shown as it stands.
    """
