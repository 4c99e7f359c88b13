# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag methods: how the latent is changed so that the handles move to their targets.

The loop in ``engine.solving.loop`` has the record, the callbacks and the stopping rules. An
instance of a method belongs to one drag: it looks at its latent, returns where the handles are, and
changes the latent. A new method is another class in ``METHODS``.
"""

from __future__ import annotations

from collections.abc import Callable

from .base import DragMethod, DragProblem, Look
from .draggan import DragGan
from .freedrag import FreeDrag
from .linearised import Linearised

__all__ = ["DIRECTIONS", "METHODS", "UNTRACKED", "DragMethod", "DragProblem", "Look"]

# The class of each value of the option ``method``.
METHODS: dict[str, Callable[[DragProblem], DragMethod]] = {
    "draggan": DragGan,
    "freedrag": FreeDrag,
    "linearised": Linearised,
}

# How many directions of each window a method pulls back in a step, see ``features.choice``; 0 for
# those that are not here.
DIRECTIONS = {"linearised": 2}

# Methods whose handles are search points: they are where the content should be, and whether it is
# there has to be seen.
UNTRACKED = frozenset({"freedrag"})
