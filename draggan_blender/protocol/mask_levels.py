# SPDX-License-Identifier: GPL-3.0-or-later
"""How light a painted mask is, the same in Blender and on the engine's command line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of red, green and blue, as of sRGB's luminance (ITU-R BT.709).
_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def mask_levels(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Return how much each pixel of a mask may change.

    A colour counts by its luminance, and what is transparent counts as black, so that a mask may be
    painted in any colour, on black or on nothing.

    Args:
        pixels: ``H x W x C`` float in [0, 1]; C is 1 for grey, 2 for grey and alpha, 3 for RGB or 4
            for RGBA.

    Returns:
        ``H x W`` float32 in [0, 1]; greys keep their exact value.
    """
    values = np.asarray(pixels, dtype=np.float32)
    channels = values.shape[2]
    levels: NDArray[np.float32] = values[:, :, 0]
    if channels >= 3:
        red, green, blue = (values[:, :, channel] for channel in range(3))
        is_grey = (red == green) & (green == blue)
        levels = np.where(is_grey, red, values[:, :, :3] @ _WEIGHTS)
    if channels in (2, 4):
        levels = levels * values[:, :, -1]
    return levels
