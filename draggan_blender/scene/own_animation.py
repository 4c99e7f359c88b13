# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person has animated on a handle, before the path of a result takes its place.

Keys are kept in an action of their own; drivers cannot be kept, so they are asked about before
anything is solved.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from . import timing


def refuse_drivers(pairs: Sequence[DRAGGAN_PG_pair]) -> None:
    """Refuse to move handles that drivers of the person move.

    Raises:
        EditError: A handle has such drivers.
    """
    for pair in pairs:
        if not _is_free(pair) and timing.is_driven(pair.handle):
            raise EditError(
                f"{pair.handle.name} is moved by drivers, which the result would replace; delete "
                "them, or put them on its target"
            )


def keep_keys(plane: Plane) -> str:
    """Copy the person's keys of the handles that a result moves into actions.

    Call this before the paths of the result are written.

    Returns:
        A sentence about the actions, as the end of a status; empty if there are no such keys.
    """
    moved = [pair.handle for pair in plane.draggan.pairs if pair.slot >= 0 and not _is_free(pair)]
    names = [compat.keep_action(handle) for handle in moved if timing.is_keyed(handle)]
    if not names:
        return ""
    return f"; keyframes of your own are kept in the action {', '.join(names)}"


def _is_free(pair: DRAGGAN_PG_pair) -> bool:
    """Return whether the handle is not there to be moved, or follows the path of a result."""
    return pair.handle is None or pair.is_pin or pair.path_slot >= 0
