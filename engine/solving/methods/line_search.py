# SPDX-License-Identifier: GPL-3.0-or-later
"""FreeDrag's line search with backtracking, and the rate at which its templates adapt.

Ling et al., "FreeDrag", sections 3.2 and 3.3, for P points at once. If the features at a search
point match its template, the point moves on, up to a maximum distance, to where the features differ
from the template by as much as one sub-motion is expected to correct. If the sub-motion did not
reduce the difference, the point was too far ahead: it moves back and searches for the template
from there over twice the distance. This follows the paper; the published code moves back by at most
the distance to the target, and thus not at all at the target.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The number of positions among which the next search point is chosen.
_CANDIDATES = 10
# Shares of the expected loss at which a template takes a half and a tenth of the new features.
_EVEN_AT, _LITTLE_AT = 0.2, 0.8


def template_share(losses: Tensor, expected: Tensor) -> Tensor:
    """Return how much of the features at its search point each template takes on.

    Ling et al., "FreeDrag", section 3.2: ``1 / (1 + exp(a (loss - b)))``, with a and b such that
    this is 1/2 at 0.2 and 1/10 at 0.8 of the expected loss.

    Args:
        losses: ``P``, at the end of a sub-motion.
        expected: A scalar, the expected loss, in the same unit.

    Returns:
        ``P``, 0 to 1.
    """
    slope = math.log(9) / ((_LITTLE_AT - _EVEN_AT) * expected)
    return torch.sigmoid(slope * (_EVEN_AT * expected - losses))


def way_points(
    handles: Tensor, targets: Tensor, directions: Tensor, distance: float, falls_back: Tensor
) -> Tensor:
    """Return the candidates for the next search points, in order of distance from the start.

    Args:
        handles: ``P x 2`` feature positions of the search points, on the line to the target.
        targets: ``P x 2`` feature positions.
        directions: ``P x 2``, unit vectors from the first position of a handle to its target.
        distance: The longest step, feature pixels.
        falls_back: ``P`` bool, the points whose candidates begin ``distance`` behind them.

    Returns:
        ``P x 10 x 2``, evenly spaced up to ``distance`` ahead but not past the target. The
        beginning of the range itself is not a candidate.
    """
    path = targets - handles
    length = path.norm(dim=1, keepdim=True)
    begin = torch.where(falls_back[:, None], handles - directions * distance, handles)
    end = torch.where(length > distance, handles + directions * distance, targets)
    parts = torch.arange(1, _CANDIDATES + 1, device=handles.device) / _CANDIDATES
    return torch.lerp(begin[:, None], end[:, None], parts[None, :, None])


def choose_candidates(points: Tensor, differences: Tensor, wanted: Tensor) -> Tensor:
    """Return the candidates whose difference from the template is closest to the wanted one.

    Args:
        points: ``P x Q x 2`` feature positions, the candidates.
        differences: ``P x Q``, their differences from the template.
        wanted: ``P``, the wanted differences.

    Returns:
        ``P x 2``; of equally close candidates the first.
    """
    best = (differences - wanted[:, None]).abs().argmin(dim=1)
    return points.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
