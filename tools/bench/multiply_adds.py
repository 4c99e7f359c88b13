# SPDX-License-Identifier: GPL-3.0-or-later
"""How many multiply-adds a drag step cannot do without: the floor under its time.

Counted are the convolutions of one image.  A 3 x 3 convolution from I to O channels takes `9 I O`
for each pixel of its result; one that doubles the size is a transposed convolution and takes them
for each pixel of its *input*; toRGB takes `I O` a pixel.  Filters, modulation, noise and the loss
are not counted: they are small, or need not be there.

The way back costs a convolution as much again for the gradient of its input, and once more for that
of its weights where these depend on the latent.  It begins at the features, for the loss reads
nothing above them.  The least input gradient, of the constant, is counted too; it is nothing beside
the rest.
"""

from __future__ import annotations

import math

from stylegan2 import GeneratorConfig, plan_windows
from stylegan2.windows.plan import whole_multiply_adds


def of_literal_step(config: GeneratorConfig, block: int) -> int:
    """The public programs' step: the whole network forward, colours included, weights modulated.

    Args:
        block: the resolution of the block whose features are read.
    """
    top = config.img_resolution
    return of_features(config, top) + of_colours(config, top) + 2 * of_features(config, block)


def of_full_step(config: GeneratorConfig, block: int) -> int:
    """Our step with full maps: to the block and back, no gradient of a weight."""
    return 2 * of_features(config, block)


def of_windowed_step(
    config: GeneratorConfig, block: int, points: int, side: int, held: int = 0
) -> int:
    """Our step with windows, to the block and back.

    Args:
        points: how many windows.
        side: the windows' width in pixels of the block.
        held: the block that a mask holds, which is computed as a whole; 0 for no mask.
    """
    return 2 * plan_windows(config, block, side, points, least_crop=held).multiply_adds


def of_features(config: GeneratorConfig, block: int) -> int:
    """Forward from the constant to the features of a block."""
    blocks = config.resolutions[: config.level_of(block) + 1]
    return sum(whole_multiply_adds(config, resolution) for resolution in blocks)


def of_colours(config: GeneratorConfig, block: int) -> int:
    """Forward through the toRGB layers up to a block."""
    return sum(
        math.prod(config.block_shape(resolution))
        * config.channels_at(resolution)
        * config.img_channels
        for resolution in config.resolutions[: config.level_of(block) + 1]
    )
