# SPDX-License-Identifier: GPL-3.0-or-later
"""How a drag is solved, as the wire has it: a part of the ``Drag`` request.

Apart from the messages, because it grows with the methods and not with the conversation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DragSettings:
    """The wire's twin of ``engine.drag_options.DragOptions``, where each field is explained.

    A test holds names and defaults of the two equal; a resolution of 0 stands for "the
    usual block".
    """

    method: str = "linearised"
    latent_space: str = "principal"
    num_layers: int = 6
    feature_resolution: int = 0
    mask_resolution: int = 0
    r1: float = 3.0
    r2: float = 1.5
    tracking_radius: float = 3.0
    step_length: float = 1.0
    step_size: float = 2e-3
    sub_motion_loss: float = 0.3
    sub_motion_distance: float = 3.0
    linear_reach: float = 3.0
    mask_weight: float = 20.0
    tolerance_px: float = 1.0
    max_steps: int = 200
    patience: int = 40
