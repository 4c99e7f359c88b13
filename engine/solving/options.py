# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a drag, checked.

Names, defaults, limits and descriptions come from the table in
``draggan_blender.protocol.settings``. Reading options needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from draggan_blender.protocol.settings import DEFAULTS, OPTIONS, DragSettings, Option, values_of

from ..errors import RequestError

# The names of the methods in ``methods.METHODS``.
METHOD_NAMES = values_of("method")


@dataclass(frozen=True, kw_only=True)
class DragOptions(DragSettings):
    """How to drag: ``DragSettings`` whose values are known to be usable.

    The table describes each option. In addition:

    - ``latent_space``: ``principal`` changes the latent along the principal components of W, in
      standard deviations.
    - ``num_layers``: more than the model has means all; the later layers hold colour and texture.
    - ``mask_resolution``: at most the block that is read. What comes after the held block depends
      on it alone. The paper (Pan et al., "Drag Your GAN", section 3.2) holds the features that
      are read.
    - ``step_size``: the root mean square by which the entries of w change in a step of Adam, so
      that it means the same in each latent space.
    - ``sub_motion_loss``: in units of the features' spread; the published 0.3 is for networks
      whose features have a spread of 1. Different places of an image differ by about 0.5, so far
      above that all places look alike.
    - ``mask_weight``: ``freedrag`` uses half of it: 20 stands for the published 20 of DragGAN and
      10 of FreeDrag.
    - ``tolerance_px``: doubled for more than five handles, as published.

    Raises:
        RequestError: A value is out of range, or no rule would ever end the drag.
    """

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if option.choices:
                _check_choice(name, value, option)
            elif option.is_block:
                _check_block(name, value)
            else:
                _check_number(name, value, option)
        if not self.max_steps and not self.patience:
            raise RequestError(
                "a drag needs a rule that ends it: max_steps and patience must not both be 0"
            )


def check_radii(options: DragOptions, feature_size: tuple[int, int]) -> None:
    """Refuse discs that are larger than the map they are cut from; the usual ones always fit.

    Args:
        options: The options of the drag.
        feature_size: ``(width, height)`` of the feature map, pixels.

    Raises:
        RequestError: A radius is larger than half the map.
    """
    half = max(feature_size) / 2
    for name in ("r1", "r2", "tracking_radius"):
        radius, most = getattr(options, name), max(half, DEFAULTS[name])
        method_reads_it = options.method in (OPTIONS[name].methods or (options.method,))
        if method_reads_it and radius > most:
            raise RequestError(
                f"{name} is {radius:g}, but the features of this model have {max(feature_size)} "
                f"pixels; choose at most {most:g}"
            )


def _check_choice(name: str, value: str, option: Option) -> None:
    known = [choice.value for choice in option.choices]
    if value not in known:
        raise RequestError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def _check_block(name: str, size: int) -> None:
    if size and (size < 4 or size & (size - 1)):
        raise RequestError(f"{name} must be 0 or a block's size (4, 8, 16, …), not {size}")


def _check_number(name: str, value: float, option: Option) -> None:
    above = value > option.least if option.excludes_least else value >= option.least
    # Integers may be too large for ``math.isfinite``.
    if not (above and value <= option.most and value < math.inf):
        relation = "above" if option.excludes_least else "from"
        limit = f" to {option.most:g}" if math.isfinite(option.most) else " upwards"
        raise RequestError(f"{name} must be {relation} {option.least:g}{limit}, not {value}")
