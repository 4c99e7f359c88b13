# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the handles of an image lie on something that can be followed, checked before a drag.

A check is made if the engine runs, after a person has added or moved a handle. It neither waits
for the engine nor keeps anything else from being started.
"""

from __future__ import annotations

import logging
from functools import partial

import bpy
import numpy as np

from ..connection import pump
from ..connection.state import EnginePhase
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.live import CheckPoints, PointsChecked
from ..protocol.messages import Failed, Message
from ..scene import empties, models, placing, planes, points, shown
from . import recovery, requests

_LOG = logging.getLogger(__name__)

# How long the points must rest before they are checked.
REST_S = 0.4

# Operators of Blender that move points while they run.
_MOVERS = ("TRANSFORM_", "GIZMOGROUP_", "DRAGGAN_")

# What is checked: the latent, and for each handle the key of its pair and its place.
_Subject = tuple[bytes, tuple[tuple[int, tuple[float, float]], ...]]

# The uuids of the images that are checked when their points rest.
_waiting: set[str] = set()

# uuid -> what was checked last.
_checked: dict[str, _Subject] = {}


def handle_moved(plane: Plane) -> None:
    """Note that a handle of an image was added or moved; the points are checked a moment later."""
    if pump.state().engine is not EnginePhase.READY or plane.draggan.request_id:
        return
    _waiting.add(plane.draggan.uuid)
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=REST_S)


def _on_timer() -> float | None:
    """Check the points if nobody is moving them; Blender calls it until it returns None."""
    state = pump.state()
    if state.active is not None or state.queue or is_moving():
        return REST_S
    while _waiting:
        plane = planes.find(_waiting.pop())
        if plane is not None and not plane.draggan.request_id:
            check(plane)
    return None


def is_moving() -> bool:
    """Return whether an operator that moves points is running."""
    return any(
        operator.bl_idname.startswith(_MOVERS)
        for window in bpy.context.window_manager.windows
        for operator in window.modal_operators
    )


def check(plane: Plane) -> int | None:
    """Ask the engine which handles of an image cannot be followed.

    Returns:
        The request id, or None if nothing has changed since the last check, or nothing can be
        checked.
    """
    settings = plane.draggan
    try:
        subject = _subject(plane)
        path = models.model_path(settings.source)
    except EditError:
        # Without an image, or with points that cannot be read, a drag reports what is wrong.
        return None
    latent, handles = subject
    if not handles or not latent or _checked.get(settings.uuid) == subject:
        return None
    _checked[settings.uuid] = subject
    request = CheckPoints(
        request_id=pump.new_request_id(),
        model_path=path,
        model_sha256=settings.model_sha256,
        latent=latent,
        points_px=tuple(place for _, place in handles),
        feature_resolution=settings.drag.feature_resolution,
    )
    requests.give_to(request.request_id, partial(_take, settings.uuid, subject))
    label = f"Check the points of {plane.name}"
    image_id = recovery.check_id(plane)
    pump.submit(pump.Job(request=request, image_id=image_id, label=label, is_asked=False))
    return request.request_id


def _subject(plane: Plane) -> _Subject:
    """Return what there is to check now; pins and handles outside the image are left out.

    Raises:
        EditError: The image or the points cannot be read.
    """
    scene = planes.scene_of(plane)
    pairs = [
        pair
        for pair in plane.draggan.pairs
        if not pair.is_pin and not empties.is_gone(pair.handle, scene)
    ]
    if not pairs or not plane.draggan.latent:
        return b"", ()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = placing.to_px(plane, placing.places(depsgraph, plane, [pair.handle for pair in pairs]))
    handles = [
        (pair.key, (x, y))
        for pair, (x, y) in zip(pairs, found.tolist(), strict=True)
        if np.isfinite((x, y)).all()
    ]
    return shown.latent(plane), tuple(handles)


def _take(image_id: str, subject: _Subject, message: Message) -> None:
    """Store the answer for the handles that are still where they were."""
    if isinstance(message, Failed):
        _LOG.warning("The points were not checked: %s", message.message)
    plane = planes.find(image_id)
    if not isinstance(message, PointsChecked) or plane is None or plane.draggan.request_id:
        return
    try:
        now = dict(_subject(plane)[1])
    except EditError:
        return
    flat = dict(zip((key for key, _ in subject[1]), message.flat, strict=False))
    for pair in plane.draggan.pairs:
        is_there = pair.key in flat and now.get(pair.key) == dict(subject[1])[pair.key]
        if is_there and points.shown_state(pair) in ("FINE", "FLAT"):
            points.set_state(pair, "FLAT" if flat[pair.key] else "FINE")
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def unregister() -> None:
    """Forget all checks, and stop the timer."""
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    _waiting.clear()
    _checked.clear()


def register() -> None:
    """Nothing is needed: the timer runs only while a check is due."""
