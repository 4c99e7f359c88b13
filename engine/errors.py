# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for a request that cannot be carried out, as opposed to a defect of the program."""

from __future__ import annotations


class RequestError(ValueError):
    """A request that cannot be carried out.

    The message is a sentence for the user and is shown unchanged. A plain ``ValueError`` that comes
    out of the engine is a defect instead, and is reported with a traceback.
    """
