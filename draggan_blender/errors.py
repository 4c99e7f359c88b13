# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that a person's click or a script can cause."""

from __future__ import annotations


class EditError(Exception):
    """Something must be changed before this can be done.

    Its text is one sentence for the person: what is expected, what was found, what to do.
    """


def reason_of(error: RuntimeError) -> str:
    """Return the reason that an error of Blender's operators gives, without ``Error:``."""
    return str(error).removeprefix("Error: ").strip()
