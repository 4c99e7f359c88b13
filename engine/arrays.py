# SPDX-License-Identifier: GPL-3.0-or-later
"""Type aliases for the two kinds of NumPy array in the engine's interfaces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Latents, points, losses.
FloatArray = npt.NDArray[np.float32]

# Images and masks.
ByteArray = npt.NDArray[np.uint8]
