# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a ``CheckPoints`` request: which points of an image cannot be followed."""

from __future__ import annotations

import numpy as np
import torch

from draggan_blender.protocol.live import CheckPoints, PointsChecked
from draggan_blender.protocol.settings import DragSettings

from ..errors import RequestError
from ..features.source import feature_block, grid_of
from ..inputs import check_latent, check_points
from ..models import LoadedModel
from ..pictures import OpenPicture
from ..solving.structure import is_flat, structure_at
from ..solving.supervision import disc_offsets
from .job_parts import Emit


def check_request(request: CheckPoints, model: LoadedModel, emit: Emit) -> None:
    """Check the points of a request, and report the answer.

    Args:
        request: The request.
        model: Its model.
        emit: Receives the one event.

    Raises:
        RequestError: The model has no such feature block, the latent does not fit the model, or a
            point is outside the image.
    """
    generator = model.generator
    try:
        block = feature_block(generator, request.feature_resolution)
    except ValueError as error:
        raise RequestError(f"feature_resolution: {error}") from None
    picture = model.picture(request.latent)
    latent = check_latent(generator, picture.latent)
    canvas = OpenPicture(picture).canvas(generator)
    points_px = np.array(request.points_px, dtype=np.float32)
    points, _ = check_points(generator, points_px, points_px)
    disc = disc_offsets(DragSettings().r1).to(latent.device)
    positions = grid_of(generator, block).to_feature(points)
    with torch.no_grad():
        flat = is_flat(structure_at(generator, block, latent, positions, disc, canvas))
    emit(PointsChecked(request_id=request.request_id, flat=tuple(flat.tolist())))
