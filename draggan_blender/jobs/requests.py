# SPDX-License-Identifier: GPL-3.0-or-later
"""Submitting a request to the engine, and how each request ended.

Called from the main thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.messages import FrameTarget, Message, Request
from ..scene import history, images

# Request id -> what went wrong, or an empty text; one entry for each request that has ended. A
# sentence each, so that a long session costs some kilobytes.
endings: dict[int, str] = {}

# Request id -> the callback that receives its messages, for requests that do not change the scene.
_takers: dict[int, Callable[[Message], None]] = {}


def submit(plane: Plane, request: Request, label: str) -> int:
    """Submit a request for an image.

    Args:
        plane: The GAN image.
        request: What to do; its id is stored in ``plane.draggan.request_id``.
        label: What is being done, for the panel and the undo history.

    Returns:
        The request id.

    Raises:
        EditError: The engine could not be started; the plane is unchanged.
    """
    settings = plane.draggan
    history.note_points(plane)
    # Nobody who presses a button waits for small images.
    pump.cancel_job(explore_id(settings.uuid))
    settings.request_id = request.request_id
    settings.status, settings.failed = "", False
    pump.submit(pump.Job(request=request, image_id=settings.uuid, label=label))
    problem = endings.get(request.request_id, "")
    if problem:
        raise EditError(problem)
    return request.request_id


def explore_id(image_id: str) -> str:
    """Return the image id of jobs that make small images of other seeds for an image."""
    return f"{image_id} explore"


# The image id of jobs that add models to the library, which is not part of any file.
LIBRARY_ID = "library"


def wait(request_id: int, timeout_s: float = 3600.0) -> None:
    """Run the engine's pump until a request has ended; only for scripts and ``blender -b``.

    Raises:
        EditError: The request failed or was cancelled, or did not end within ``timeout_s`` seconds.
    """
    ended = pump.run_until(lambda _state: request_id in endings, timeout_s)
    if not ended:
        raise EditError(f"The engine had not finished after {timeout_s:g} seconds")
    problem = endings[request_id]
    if problem:
        raise EditError(problem)


def give_to(request_id: int, taker: Callable[[Message], None]) -> None:
    """Pass all messages of a request, its ending included, to a callback instead of the scene."""
    _takers[request_id] = taker


def taker_of(request_id: int) -> Callable[[Message], None] | None:
    """Return the callback that was set by ``give_to``."""
    return _takers.get(request_id)


def drop_taker(request_id: int) -> None:
    """Remove the callback of a request that has ended."""
    _takers.pop(request_id, None)


def forget() -> None:
    """Forget all requests."""
    endings.clear()
    _takers.clear()


def refuse_if_busy(plane: Plane) -> None:
    """Raise ``EditError`` if a request is running for the plane."""
    if plane.draggan.request_id:
        raise EditError(f"{plane.name} is being worked on; wait, or press Stop")


def require_image(plane: Plane) -> None:
    """Raise ``EditError`` if the plane has no image yet."""
    if not plane.draggan.latent:
        raise EditError(f"{plane.name} has no image yet; make a new one, or wait for it")


def show_frames(plane: Plane, target: FrameTarget, count: int, kind: str) -> None:
    """Show the frames that a request has written.

    Args:
        plane: The GAN image.
        target: Where the frames were written.
        count: How many there are.
        kind: The sequence's kind: ``DRAG``, ``BAKE`` or ``LATENTS``.

    Raises:
        EditError: They cannot be shown.
    """
    images.show_sequence(plane, Path(target.folder), target.stem, target.first_number, count, kind)
