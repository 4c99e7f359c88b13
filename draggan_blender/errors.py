# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of the functions that a person's click or a script calls."""

from __future__ import annotations


class EditError(Exception):
    """Something must be different before this can be done.

    Its text is one sentence for the person: what is expected, what was found, what to do.
    """
