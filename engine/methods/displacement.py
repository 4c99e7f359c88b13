# SPDX-License-Identifier: GPL-3.0-or-later
"""How the content at handles moves when the latent changes: its derivative, by least squares.

Lucas and Kanade, "An Iterative Image Registration Technique" (1981), on features in place of grey
values: where the content of a disc moves by a small `u`, its features change by `-grad F u`, so
that the best `u` for the change from `F` to `F'` is

    u = -(sum grad F^T grad F)^-1 sum grad F^T (F' - F)

with the sums over the disc and its channels.  `F'` depends on the latent, and everything else is
held: differentiating `u` takes two backward passes for each handle, one for x and one for y.  (One
pass for all of them, batched with `torch.func.vmap`, takes as long on a CPU: the convolutions are
the work, and it has as many of them.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..feature_source import Windows

_FLATNESS = 1e-3
"""Added to a disc's structure tensor, as a share of its trace: where only an edge is to be seen,
the motion along it, which cannot be seen, counts as none."""


def motion_jacobian(
    windows: Windows, handles: Tensor, offsets: Tensor, coordinates: Tensor
) -> Tensor:
    """How the content at each handle moves with the coordinates of a latent.

    Args:
        windows: around the handles, reaching `offsets` and a pixel beyond them; with gradient to
            the coordinates.
        handles: `P x 2` feature positions.
        offsets: `Q x 2`, the disc whose content counts.
        coordinates: a leaf of N numbers.

    Returns:
        `2 P x N` float32, feature pixels for each unit of a coordinate; a handle's x before its y.
    """
    places = handles[:, None] + offsets
    solver = displacement_solver(windows, places)
    values = windows.sample(places).flatten(1)
    moved = -(solver @ values[:, :, None]).flatten()
    rows = [torch.autograd.grad(entry, coordinates, retain_graph=True)[0] for entry in moved]
    return torch.stack(rows).flatten(1)


@torch.no_grad()
def displacement_solver(windows: Windows, places: Tensor) -> Tensor:
    """`(sum grad F^T grad F)^-1 grad F^T` of each handle's disc.

    Args:
        places: `P x Q x 2` feature positions.

    Returns:
        `P x 2 x (Q C)` float32: what a change of the disc's features is multiplied with.
    """
    right, down = 0.5 * torch.eye(2, device=places.device)
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
