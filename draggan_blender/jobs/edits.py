# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a changed list of edits: its request, and its result.

``edit_changes`` makes the request when a person has changed the list.
"""

from __future__ import annotations

from pathlib import Path

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.messages import RenderLatent
from ..scene import edits, handle_paths, images, models
from . import folders, recovery, requests

# Request id -> the signature of the edits that it renders.
_rendered: dict[int, str] = {}


def start(plane: Plane) -> int | None:
    """Start to render the image of the list as it is.

    Returns:
        The request id; None if the image shows the list already.

    Raises:
        EditError: The plane has no image or is being worked on, an edit cannot be read, or the
            engine cannot be started.
    """
    recovery.own(plane)
    return render(plane)


def render(plane: Plane) -> int | None:
    """Do what ``start`` does, and leave a preview on the plane until the image arrives.

    Raises:
        EditError: As ``start``.
    """
    settings = plane.draggan
    requests.refuse_if_busy(plane)
    requests.require_image(plane)
    if edits.is_shown(plane):
        settings.edits_changed = False
        return None
    request = RenderLatent(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        latent=edits.wanted(plane),
        image_path=str(folders.new_still(plane)),
    )
    _rendered[request.request_id] = edits.signature(plane)
    return requests.submit(plane, request, f"Edits of {plane.name}")


def refuse_if_changing(plane: Plane) -> None:
    """Raise ``EditError`` if the image does not show a change in the list yet."""
    if plane.draggan.edits_changed:
        raise EditError(f"The edits of {plane.name} have just been changed; try again in a moment")


def is_change(request: RenderLatent) -> bool:
    """Return whether a request renders a change in the list, and not the same image again."""
    return request.request_id in _rendered


def finish(plane: Plane, request: RenderLatent) -> None:
    """Show the image of a changed list; a sequence is given up, and the handles stay.

    Raises:
        EditError: It cannot be shown.
    """
    settings = plane.draggan
    images.show_still(plane, Path(request.image_path))
    settings.track = ""
    handle_paths.clear_paths(plane)
    edits.show(plane, request.latent, _rendered.pop(request.request_id))
    settings.status = "Changed the edits"


def forget() -> None:
    """Forget all requests."""
    _rendered.clear()
