# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion supervision: the loss that pushes what is at a handle one small step to its target.

Pan et al., "Drag Your GAN", section 3.2:
`L = sum_i sum_{q in disc(p_i, r1)} || sg(F(q)) - F(q + d_i) ||_1`, with `sg` for detached, so that
the features at `q + d` become those at `q` and not the reverse.  Two departures: the inner sums are
means, which keeps the weight of the mask term independent of `r1` and of the channels; and `d_i` is
no longer than what is left of the way, so that a handle does not overshoot.

In place of the L1 norm there is the L2 norm, which pulls a place's channels together in proportion
to how far they are off, and each place by the same amount.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..features.source import Windows


def disc_offsets(radius: float) -> Tensor:
    """The whole-pixel offsets `Q x 2` of the closed disc of a radius >= 0; the centre is in it."""
    reach = math.floor(radius)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    offsets = torch.stack([x.flatten(), y.flatten()], dim=1)
    return offsets[offsets.square().sum(1) <= radius * radius]


def steps_to_targets(handles: Tensor, targets: Tensor, step_length: float | Tensor) -> Tensor:
    """`d_i`: towards the target, as long as `step_length` or as the rest of the way.

    Args:
        handles: `P x 2` feature positions.
        targets: `P x 2` feature positions.
        step_length: feature pixels, a number or a scalar.

    Returns:
        `P x 2`; zero where a handle is on its target.
    """
    way = targets - handles
    distance = way.norm(dim=1, keepdim=True)
    steps: Tensor = way * (step_length / distance.clamp(min=step_length))
    return steps


def motion_supervision(windows: Windows, handles: Tensor, steps: Tensor, offsets: Tensor) -> Tensor:
    """The loss, a scalar with gradient to the windows' values.

    Args:
        windows: around the handles, reaching `r1 + |d|` beyond them.
        handles: `P x 2` feature positions, fractional.
        steps: `P x 2`, `d_i`.
        offsets: `Q x 2` from `disc_offsets`.
    """
    here = (handles[:, None] + offsets).detach()
    there = here + steps[:, None].detach()
    content = windows.sample(here).detach()
    # One mean for each handle, then their sum: a handle counts the same among one or among ten.
    return (windows.sample(there) - content).abs().mean(dim=(1, 2)).sum()
