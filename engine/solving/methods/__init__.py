# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag methods: how the latent is moved so that handles come to their targets.

The loop in ``drag`` owns the record, the callbacks and the stopping rules.  A method owns one drag:
it looks at its latent, says where the handles are now, and moves the latent.  Another method is
another class in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable

from .base import DragMethod, DragProblem, Look
from .draggan import DragGan
from .freedrag import FreeDrag
from .linearised import Linearised

__all__ = ["METHODS", "DragMethod", "DragProblem", "Look"]

METHODS: dict[str, Callable[[DragProblem], DragMethod]] = {
    "draggan": DragGan,
    "freedrag": FreeDrag,
    "linearised": Linearised,
}
"""Every method, by the names in `drag_options.METHOD_NAMES`."""
