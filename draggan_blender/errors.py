# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for actions that cannot be done, and the text of errors of Blender's operators."""

from __future__ import annotations


class EditError(Exception):
    """An action of a person or a script that cannot be done until something is changed.

    The text is one sentence for the person: what is expected, what was found, and what to do.
    """


def reason_of(error: RuntimeError) -> str:
    """Return the reason that an error of Blender's operators gives, without ``Error:``."""
    return str(error).removeprefix("Error: ").strip()
