# SPDX-License-Identifier: GPL-3.0-or-later
"""The number of multiply-adds that a drag step needs at least: the lower bound of its time.

The convolutions of one image are counted. A 3 x 3 convolution from I to O channels needs ``9 I O``
per pixel of its output; one that doubles the size is a transposed convolution and needs them per
pixel of its *input*; toRGB needs ``I O`` per pixel. Filters, modulation, noise and the loss are not
counted: they are small, or can be avoided.

The backward pass of a convolution costs the same again for the gradient of its input, and once more
for the gradient of its weights where these depend on the latent. It starts at the features, because
the loss reads nothing above them. The input gradient of the lowest convolution is counted too
although nothing needs it; compared with the rest it is negligible.
"""

from __future__ import annotations

import math

from stylegan2 import GeneratorConfig, plan_windows
from stylegan2.windows.plan import whole_multiply_adds


def of_literal_step(config: GeneratorConfig, block: int) -> int:
    """Return the multiply-adds of the public programs' step.

    It runs the whole network forward, colours included, with modulated weights.

    Args:
        config: The network.
        block: Resolution of the block whose features the drag reads.
    """
    top = config.img_resolution
    return of_features(config, top) + of_colours(config, top) + 2 * of_features(config, block)


def of_full_step(config: GeneratorConfig, block: int) -> int:
    """Return the multiply-adds of our step with full maps: forward to a block and backward.

    Args:
        config: The network.
        block: Resolution of the block whose features the drag reads.
    """
    return 2 * of_features(config, block)


def of_windowed_step(
    config: GeneratorConfig, block: int, points: int, side: int, held: int = 0
) -> int:
    """Return the multiply-adds of our step with windows: forward to a block and backward.

    Args:
        config: The network.
        block: Resolution of the block whose features the drag reads.
        points: Number of windows.
        side: Width of the windows in pixels of the block.
        held: Resolution of the block whose features the mask holds constant; blocks up to it are
            computed as a whole. 0 without a mask.
    """
    return 2 * plan_windows(config, block, side, points, least_crop=held).multiply_adds


def of_features(config: GeneratorConfig, block: int) -> int:
    """Return the multiply-adds of the forward pass to the features of a block, by resolution."""
    blocks = config.resolutions[: config.level_of(block) + 1]
    return sum(whole_multiply_adds(config, resolution) for resolution in blocks)


def of_colours(config: GeneratorConfig, block: int) -> int:
    """Return the multiply-adds of the toRGB layers up to a block, by resolution."""
    return sum(
        math.prod(config.block_shape(resolution))
        * config.channels_at(resolution)
        * config.img_channels
        for resolution in config.resolutions[: config.level_of(block) + 1]
    )
