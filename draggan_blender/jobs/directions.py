# SPDX-License-Identifier: GPL-3.0-or-later
"""The directions of an image's model, which the engine finds once for each, and *Pull Back*.

Nothing waits for the engine: who needs them asks, and is called when they are in the library.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import bpy

from ..connection import pump
from ..errors import EditError
from ..properties import changes
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol import direction_files
from ..protocol.direction_messages import (
    DirectionsFound,
    FindDirections,
    PullBack,
    PulledBack,
)
from ..protocol.messages import Ending, Failed, Message
from ..scene import models, own_directions, planes, sliders
from . import delivery, direction_library, recovery, requests

_LOG = logging.getLogger(__name__)

# uuid -> the request that finds the directions of the plane's model.
_asked: dict[str, int] = {}


def find(plane: Plane, then: Callable[[Plane], None] | None = None) -> int:
    """Ask for the directions of an image's model, and put them into the library.

    Args:
        plane: A GAN image with an image.
        then: Called with the plane when they are there; otherwise its status says why not.

    Returns:
        The request id.

    Raises:
        EditError: No model was chosen, or the engine cannot start.
    """
    requests.require_image(plane)
    settings = plane.draggan
    request = FindDirections(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
    )
    _asked[settings.uuid] = request.request_id
    requests.give_to(request.request_id, partial(_take, settings.uuid, then))
    return _submit(plane, request, f"Find the directions of {plane.name}")


def pull_back(plane: Plane) -> int:
    """Ask for the typical latent near that of an image, and add a slider to it, at 1.

    Args:
        plane: A GAN image with an image.

    Returns:
        The request id.

    Raises:
        EditError: No model was chosen, or the engine cannot start.
    """
    requests.require_image(plane)
    settings = plane.draggan
    request = PullBack(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        picture=to_bytes(settings.latent),
    )
    requests.give_to(request.request_id, partial(_take_back, settings.uuid, request))
    return _submit(plane, request, f"Pull Back of {plane.name}")


def _submit(plane: Plane, request: FindDirections | PullBack, label: str) -> int:
    """Send a request that keeps nobody from working on the image, and return its id."""
    job = pump.Job(request=request, image_id=recovery.parts_id(plane), label=label)
    pump.submit(job)
    problem = requests.endings.get(request.request_id, "")
    if problem:
        raise EditError(problem)
    return request.request_id


def _take_back(image_id: str, request: PullBack, message: Message) -> None:
    plane = planes.find(image_id)
    problem = ""
    if isinstance(message, PulledBack) and plane is not None:
        if to_bytes(plane.draggan.latent) != request.picture:
            return  # the image has changed in the meantime
        try:
            row = own_directions.back_to(plane, message.latent, message.before)
            # One undo leads from the image that follows to this step.
            delivery.push_undo("Pull Back")
            row.strength = 1.0
        except EditError as error:
            problem = str(error)
    elif isinstance(message, Ending):
        problem = message.message if isinstance(message, Failed) else ""
        requests.endings[message.request_id] = problem
    if problem and plane is not None:
        plane.draggan.status, plane.draggan.failed = problem, True
    delivery.redraw_panels()


def is_finding(plane: Plane) -> bool:
    """Return whether the engine is finding the directions of an image's model."""
    return plane.draggan.uuid in _asked


def _take(image_id: str, then: Callable[[Plane], None] | None, message: Message) -> None:
    plane = planes.find(image_id)
    problem = ""
    if isinstance(message, DirectionsFound) and plane is not None:
        try:
            found = direction_files.from_bytes(
                message.directions, sliders.num_ws(plane), plane.draggan.w_dim
            )
            direction_library.merge(plane, found)
            if then is not None:
                then(plane)
                delivery.push_undo("Find Directions")
        except (EditError, ValueError) as error:
            problem = str(error)
    elif isinstance(message, Ending):
        _asked.pop(image_id, None)
        problem = message.message if isinstance(message, Failed) else ""
        requests.endings[message.request_id] = problem
    if problem:
        _LOG.warning("The directions were not found: %s", problem)
        if plane is not None:
            plane.draggan.status, plane.draggan.failed = problem, True
    delivery.redraw_panels()


def _renamed(owner: Any) -> None:
    """Keep a slider's new name for the model."""
    if isinstance(owner, bpy.types.Object) and planes.is_plane(owner):
        try:
            direction_library.remember(owner)
        except EditError as error:
            owner.draggan.status, owner.draggan.failed = str(error), True


def register() -> None:
    """Listen to the names of sliders."""
    changes.listen_to_names(_renamed)


def unregister() -> None:
    """Forget all requests."""
    changes.listen_to_names(None)
    _asked.clear()
