# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a ``FindParts`` request: the parts of a picture, for masks that a click makes."""

from __future__ import annotations

from draggan_blender.protocol.parts import FindParts, PartsFound

from ..features.parts import find_parts
from ..inputs import check_latent
from ..models import LoadedModel
from ..pictures import OpenPicture
from .job_parts import Emit


def find_request(request: FindParts, model: LoadedModel, emit: Emit) -> None:
    """Find the parts of a request's picture, and report them.

    Args:
        request: The request.
        model: Its model.
        emit: Receives the one event.

    Raises:
        RequestError: The latent does not fit the model.
    """
    picture = model.picture(request.latent)
    latent = check_latent(model.generator, picture.latent)
    canvas = OpenPicture(picture).canvas(model.generator)
    tree = find_parts(model.generator, latent, canvas)
    emit(
        PartsFound(
            request_id=request.request_id,
            rows=tree.shape[0],
            columns=tree.shape[1],
            parents=tree.parents.astype("<i4").tobytes(),
            heights=tree.heights.astype("<f4").tobytes(),
        )
    )
