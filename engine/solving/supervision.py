# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion supervision: the loss that moves the content at each handle a step towards its target.

Pan et al., "Drag Your GAN", section 3.2:
``L = sum_i sum_{q in disc(p_i, r1)} || sg(F(q)) - F(q + d_i) ||_1``, where ``sg`` stops the
gradient, so that the features at ``q + d_i`` become those at ``q`` and not the reverse. There are
two differences from the paper. The inner sums are means, so that the weight of the mask term does
not depend on ``r1`` or the number of channels. And ``d_i`` is at most the remaining distance to the
target, so that a handle does not overshoot.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..features.source import Windows


def disc_offsets(radius: float) -> Tensor:
    """Return the integer offsets in a disc, including its edge and its centre.

    Args:
        radius: The radius of the disc, pixels, 0 or more.

    Returns:
        ``Q x 2`` float32 (x, y) on the CPU.
    """
    reach = math.floor(radius)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    offsets = torch.stack([x.flatten(), y.flatten()], dim=1)
    return offsets[offsets.square().sum(1) <= radius * radius]


def steps_to_targets(handles: Tensor, targets: Tensor, step_length: float | Tensor) -> Tensor:
    """Return the step ``d_i`` of each handle towards its target.

    Args:
        handles: ``P x 2`` feature positions.
        targets: ``P x 2`` feature positions.
        step_length: The longest step, feature pixels, a positive number or scalar tensor.

    Returns:
        ``P x 2`` feature pixels: the vector to the target, shortened to ``step_length`` if it is
        longer.
    """
    path = targets - handles
    distance = path.norm(dim=1, keepdim=True)
    steps: Tensor = path * (step_length / distance.clamp(min=step_length))
    return steps


def motion_supervision(windows: Windows, handles: Tensor, steps: Tensor, offsets: Tensor) -> Tensor:
    """Return the motion supervision loss.

    Args:
        windows: Windows that extend at least ``r1 + |d_i|`` around the handles.
        handles: ``P x 2`` feature positions.
        steps: ``P x 2`` feature pixels, the ``d_i``, see ``steps_to_targets``.
        offsets: ``Q x 2`` feature pixels, the disc, see ``disc_offsets``.

    Returns:
        A scalar with a gradient to the windows' values.
    """
    here = (handles[:, None] + offsets).detach()
    there = here + steps[:, None].detach()
    content = windows.sample(here).detach()
    # A mean for each handle, then the sum: the weight of a handle does not depend on their number.
    return (windows.sample(there) - content).abs().mean(dim=(1, 2)).sum()
