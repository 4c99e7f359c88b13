# SPDX-License-Identifier: GPL-3.0-or-later
"""How the content at handles moves when the features change, by least squares.

Lucas and Kanade, "An Iterative Image Registration Technique" (1981), on features in place of grey
values: where the content of a disc moves by a small `u`, its features change by `-grad F u`, so
that the best `u` for the change from `F` to `F'` is

    u = -(sum grad F^T grad F)^-1 sum grad F^T (F' - F)

with the sums over the disc and its channels.  `F'` depends on the latent, and everything else is
held: that makes `u` a sum of products of `F'` with known numbers, of which the windows' source
knows the derivative.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...features.source import Windows

SLOPE_REACH = 0.5
"""Slopes are differences of samples this far away on either side, feature pixels."""
_FLATNESS = 1e-3
"""Added to a disc's structure tensor, as a share of its trace: where only an edge is to be seen,
the motion along it, which cannot be seen, counts as none."""


def motion_directions(windows: Windows, handles: Tensor, offsets: Tensor) -> Tensor:
    """What the windows' values are multiplied with to give the motion of what is at the handles.

    Args:
        windows: around the handles, reaching `offsets` and `SLOPE_REACH` beyond them.
        handles: `P x 2` feature positions.
        offsets: `Q x 2`, the disc whose content counts.

    Returns:
        `2 x P x S x S x C` float32: for the motion in x, then for that in y, feature pixels.
    """
    places = handles[:, None] + offsets
    values = windows.values.detach().requires_grad_()
    with torch.enable_grad():
        samples = Windows(values, windows.origins).sample(places)
    solver = displacement_solver(windows, places).reshape(len(handles), 2, *samples.shape[1:])
    # Sampling is linear: its derivative is the way back from samples to values.
    rows = [
        torch.autograd.grad(samples, values, -solver[:, axis], retain_graph=True)[0]
        for axis in (0, 1)
    ]
    return torch.stack(rows)


@torch.no_grad()
def displacement_solver(windows: Windows, places: Tensor) -> Tensor:
    """`(sum grad F^T grad F)^-1 grad F^T` of each handle's disc.

    Args:
        places: `P x Q x 2` feature positions.

    Returns:
        `P x 2 x (Q C)` float32: what a change of the disc's features is multiplied with.
    """
    right, down = SLOPE_REACH * torch.eye(2, device=places.device)
    slopes = torch.stack(
        [
            windows.sample(places + right) - windows.sample(places - right),
            windows.sample(places + down) - windows.sample(places - down),
        ],
        dim=1,
    ).flatten(2)
    structure = slopes @ slopes.transpose(1, 2)
    floor = _FLATNESS * structure.diagonal(dim1=1, dim2=2).sum(dim=1) + torch.finfo().tiny
    structure = structure + floor[:, None, None] * torch.eye(2, device=places.device)
    solver: Tensor = torch.linalg.solve_ex(structure, slopes).result
    return solver
