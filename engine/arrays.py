# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for the two kinds of array that cross the engine's interfaces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
"""Latents, points, losses."""

ByteArray = npt.NDArray[np.uint8]
"""Images and masks."""
