# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a latent is from those of a model's own images, and the nearest one that is like them.

The model makes its images of one w for all layers. In standard deviations along the K principal
components of W, such a w is about ``sqrt(K)`` from the mean (the Mahalanobis distance). A drag with
free layers, a style or a strong slider leads away from these images: the layers part from each
other, or all go far from the mean.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from stylegan2 import Generator

from ..arrays import FloatArray
from .principal import principal_components


def distance(generator: Generator, latent: FloatArray) -> float:
    """Return how far a latent is from the mean of W, 1 for a usual image of the model.

    Args:
        generator: On any device.
        latent: ``num_ws x w_dim`` float32.

    Returns:
        The root mean square Mahalanobis distance of its layers, relative to ``sqrt(K)``. What lies
        outside of the components counts as well, with the width of the narrowest one.
    """
    components = principal_components(generator)
    centred = torch.from_numpy(latent).to(components.mean) - components.mean
    inside = centred @ components.directions.T
    outside = centred - inside @ components.directions
    squares = (inside / components.sigmas).square().sum(dim=1)
    squares = squares + (outside / components.sigmas[-1]).square().sum(dim=1)
    return float((squares.mean() / len(components.sigmas)).sqrt())


def pulled_back(generator: Generator, latent: FloatArray) -> FloatArray:
    """Return the latent of one w for all layers, not farther from the mean than usual images.

    It is the mean of the layers, within the components, and nearer to the mean of W if its distance
    is more than ``sqrt(K)``.

    Args:
        generator: On any device.
        latent: ``num_ws x w_dim`` float32.

    Returns:
        ``num_ws x w_dim`` float32.
    """
    components = principal_components(generator)
    centred = torch.from_numpy(latent).to(components.mean).mean(dim=0) - components.mean
    sigmas = components.directions @ centred / components.sigmas
    share = min(1.0, math.sqrt(len(sigmas)) / max(float(sigmas.norm()), 1e-12))
    w = components.mean + share * sigmas @ components.scaled()
    found: FloatArray = np.repeat(w.cpu().numpy()[None], len(latent), axis=0)
    return found
