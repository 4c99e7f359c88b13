# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag would wait for, computed in advance."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np

from stylegan2 import Generator

from ..arrays import FloatArray
from ..errors import RequestError
from ..inputs import check_latent
from .drag import drag
from .latent_space import priced_basis
from .options import DragOptions
from .picture import slopes_of_picture
from .stopping import StoppedError, leave_if


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


def look_ahead(generator: Generator, latent: FloatArray, is_wanted: Callable[[], bool]) -> None:
    """Compute what a drag with the default options needs to know of the image that it begins with.

    Args:
        generator: The generator.
        latent: ``num_ws x w_dim`` float32, the latent of the image.
        is_wanted: Called between parts of the computation, which is given up if it returns False.
    """
    try:
        start = check_latent(generator, latent)
    except RequestError:
        return
    layers = min(DragOptions().num_layers, generator.num_ws)
    between = leave_if(lambda: not is_wanted())
    with contextlib.suppress(StoppedError):
        basis = priced_basis(generator, between)
        slopes_of_picture(generator, start, basis, layers, between)
