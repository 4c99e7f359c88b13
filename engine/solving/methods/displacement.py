# SPDX-License-Identifier: GPL-3.0-or-later
"""How the content at handles moves when the features change, by least squares.

This is the method of Lucas and Kanade, "An Iterative Image Registration Technique" (1981), with
features instead of grey values: if the content of a disc moves by a small ``u``, its features
change by ``-grad F u``, so that the best ``u`` for the change from ``F`` to ``F'`` is

    u = -(sum grad F^T grad F)^-1 sum grad F^T (F' - F)

with sums over the disc and its channels. Only ``F'`` depends on the latent. ``u`` is therefore a
sum of products of ``F'`` with known numbers, and the feature source computes its derivative.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...features.source import Windows
from ..structure import slopes_at

# Added to the diagonal of a disc's structure tensor, as a share of its trace. If a disc contains
# only an edge, the motion along the edge cannot be measured and then counts as zero.
_FLATNESS = 1e-3


def motion_directions(windows: Windows, handles: Tensor, offsets: Tensor) -> Tensor:
    """Return the factors of the windows' values whose products sum to the motion at the handles.

    Args:
        windows: Windows that extend at least ``offsets`` plus ``structure.SLOPE_REACH`` around the
            handles.
        handles: ``P x 2`` feature positions.
        offsets: ``Q x 2`` feature pixels, the disc whose content is considered.

    Returns:
        ``2 x P x S x S x C`` float32: the factors for the motion in x and in y, feature pixels.
    """
    positions = handles[:, None] + offsets
    channels = windows.values.shape[-1]
    solver = displacement_solver(windows, positions)
    solver = solver.view(len(handles), 2, -1, channels).transpose(0, 1)
    # Sampling is linear: its adjoint maps factors of samples to factors of values.
    return windows.of_samples(positions, -solver)


@torch.no_grad()
def displacement_solver(windows: Windows, positions: Tensor) -> Tensor:
    """Return ``(sum grad F^T grad F)^-1 grad F^T`` of each handle's disc.

    Args:
        windows: Windows that extend at least ``structure.SLOPE_REACH`` around the positions.
        positions: ``P x Q x 2`` feature positions, those of each disc.

    Returns:
        ``P x 2 x (Q C)`` float32: the factors of a change of the disc's features.
    """
    slopes = slopes_at(windows, positions)
    structure = slopes @ slopes.transpose(1, 2)
    floor = _FLATNESS * structure.diagonal(dim1=1, dim2=2).sum(dim=1) + torch.finfo().tiny
    structure = structure + floor[:, None, None] * torch.eye(2, device=positions.device)
    solver: Tensor = torch.linalg.solve_ex(structure, slopes).result
    return solver
