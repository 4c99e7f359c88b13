# SPDX-License-Identifier: GPL-3.0-or-later
"""*Load Latent*: the image of a latent that another program has saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..connection import pump
from ..properties.owners import Plane
from ..protocol.latent_file import LoadLatent
from ..protocol.messages import Sampled
from ..protocol.pictures import NO_LABEL
from ..scene import models
from . import folders, image, recovery, requests


def new_image(
    context: bpy.types.Context, path: Path, model: str, location: Any, rotation: Any
) -> Plane:
    """Make a plane and ask the engine for the image of a saved latent.

    Args:
        context: Its scene gets the plane, in a new collection.
        path: The file of the latent.
        model: ``suzanne``, or the path of the checkpoint that it was made with.
        location: Of the plane, in world units.
        rotation: Of the plane, XYZ Euler angles in radians.

    Returns:
        The plane, see ``image.new_image``.

    Raises:
        EditError: The model or its folder is not usable, or the engine cannot be started.
    """
    plane = image.make_plane(context, model, location, rotation)
    image.begin(plane, lambda made: load(made, path))
    return plane


def load(plane: Plane, path: Path) -> int:
    """Ask for the image of a saved latent; the plane's edits stay in the history.

    Returns:
        The request id.

    Raises:
        EditError: The plane is being worked on, its model is not usable, or the engine cannot be
            started.
    """
    recovery.own(plane)
    requests.refuse_if_busy(plane)
    request = LoadLatent(
        request_id=pump.new_request_id(),
        model_path=models.model_path(plane.draggan.source),
        latent_path=str(path),
        image_path=str(folders.new_still(plane)),
    )
    return requests.submit(plane, request, f"Load {path.name}")


def finish(plane: Plane, request: LoadLatent, sampled: Sampled | None) -> None:
    """Show the image of the latent.

    Raises:
        EditError: There is no image, or it cannot be shown.
    """
    settings = plane.draggan
    seed = settings.source.seed, settings.source.truncation_psi, NO_LABEL
    image.take_sampled(plane, request.image_path, sampled, seed, is_of_seed=False)
    settings.status = settings.status or f"Loaded {Path(request.latent_path).name}"
