# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of changed edits or sliders: its request, and its result.

``edit_changes`` makes the request when a person has changed them.
"""

from __future__ import annotations

from pathlib import Path

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.messages import RenderLatent
from ..scene import edits, handle_paths, images, models, sliders
from . import folders, recovery, requests

# Request id -> the signatures of the edits and of the sliders that it renders.
_rendered: dict[int, tuple[str, str]] = {}


def start(plane: Plane) -> int | None:
    """Start to render the image of edits and sliders as they are.

    Returns:
        The request id; None if the image shows them already.

    Raises:
        EditError: The plane has no image or is being worked on, an edit or a slider cannot be
            read, or the engine cannot be started.
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
    word = "Edits" if edits.signature(plane) != settings.edits_shown else "Sliders"
    _rendered[request.request_id] = edits.signature(plane), sliders.signature(plane)
    return requests.submit(plane, request, f"{word} of {plane.name}")


def refuse_if_changing(plane: Plane) -> None:
    """Raise ``EditError`` if the image does not show a change of edits or sliders yet."""
    if plane.draggan.edits_changed:
        raise EditError(
            f"Edits or sliders of {plane.name} have just been changed; try again in a moment"
        )


def is_change(request: RenderLatent) -> bool:
    """Return whether a request renders a change of edits or sliders, and not what is shown."""
    return request.request_id in _rendered


def finish(plane: Plane, request: RenderLatent) -> str:
    """Show the image of a change; a sequence is given up, and the handles stay.

    Returns:
        The kind of the state of the history: ``EDITS`` or ``SLIDERS``.

    Raises:
        EditError: It cannot be shown.
    """
    settings = plane.draggan
    edits_shown, sliders_shown = _rendered.pop(request.request_id)
    has_edits = edits_shown != settings.edits_shown
    images.show_still(plane, Path(request.image_path))
    settings.track = ""
    handle_paths.clear_paths(plane)
    sliders.note_shown(plane, sliders_shown)
    edits.show(plane, request.latent, edits_shown)
    settings.status = "Changed the edits" if has_edits else "Moved the sliders"
    return "EDITS" if has_edits else "SLIDERS"


def forget() -> None:
    """Forget all requests."""
    _rendered.clear()
