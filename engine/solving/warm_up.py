# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of a drag in advance, so that the first drag of a person does not wait."""

from __future__ import annotations

import numpy as np

from stylegan2 import Generator

from ..arrays import FloatArray
from ..errors import RequestError
from .drag import drag
from .options import DragOptions


def warm_up(generator: Generator, latent: FloatArray) -> None:
    """Make a step of a drag with the default options, and drop its result.

    The first step of a process takes several times as long as the others: autograd starts, and
    memory is allocated.

    Args:
        generator: The generator.
        latent: ``num_ws x w_dim`` float32, a latent of the generator.
    """
    _, height, width = generator.img_shape
    handles = np.array([[width / 2, height / 2]], dtype=np.float32)
    targets = handles + np.array([[width / 16, 0]], dtype=np.float32)
    try:
        drag(generator, latent, handles, targets, DragOptions(max_steps=1, patience=1))
    except RequestError:
        # A model that cannot be dragged says so when somebody drags.
        return
