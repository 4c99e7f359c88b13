# SPDX-License-Identifier: GPL-3.0-or-later
"""FreeDrag's line search with backtracking, and how fast its templates adapt.

Ling et al., "FreeDrag", sections 3.2 and 3.3, for P points at once.  A search point that has found
its template moves on, up to a longest distance, to where the features differ from it by what one
sub-motion is expected to make up for.  One that the sub-motion has brought no nearer has gone too
far: it steps back and looks, from there over twice the distance, for where the template is now.
(The published code steps back no further than the target is away, and so not at all from there;
this is the paper.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_CANDIDATES = 10
_EVEN_AT, _LITTLE_AT = 0.2, 0.8
"""Parts of the expected loss at which a template takes half and a tenth of what is there."""


def template_share(losses: Tensor, expected: Tensor) -> Tensor:
    """How much of the features that are there a template takes on.

    `1 / (1 + exp(a (loss - b)))`, with a and b such that it is 1/2 at 0.2 and 1/10 at 0.8 of the
    expected loss.

    Args:
        losses: `P`, at the end of a sub-motion.
        expected: a scalar, in the same unit.

    Returns:
        `P`, 0 to 1.
    """
    slope = math.log(9) / ((_LITTLE_AT - _EVEN_AT) * expected)
    return torch.sigmoid(slope * (_EVEN_AT * expected - losses))


def way_points(
    handles: Tensor, targets: Tensor, directions: Tensor, distance: float, falls_back: Tensor
) -> Tensor:
    """The points from which the next search points are chosen, nearest to the start first.

    Args:
        handles: `P x 2` feature positions, on the way or at the target.
        targets: `P x 2` feature positions.
        directions: `P x 2`, of length 1, from where a handle began to its target.
        distance: the longest step, feature pixels.
        falls_back: `P` bool, which points begin this distance behind themselves.

    Returns:
        `P x 10 x 2`, evenly spaced, the first one apart from the beginning; never past the target.
    """
    way = targets - handles
    length = way.norm(dim=1, keepdim=True)
    begin = torch.where(falls_back[:, None], handles - directions * distance, handles)
    end = torch.where(length > distance, handles + directions * distance, targets)
    parts = torch.arange(1, _CANDIDATES + 1, device=handles.device) / _CANDIDATES
    return torch.lerp(begin[:, None], end[:, None], parts[None, :, None])


def choose_candidates(points: Tensor, differences: Tensor, wanted: Tensor) -> Tensor:
    """The candidates whose difference from the template is nearest to the wanted one.

    Args:
        points: `P x Q x 2`.
        differences: `P x Q`.
        wanted: `P`.

    Returns:
        `P x 2`; of equally good ones the first.
    """
    best = (differences - wanted[:, None]).abs().argmin(dim=1)
    return points.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
