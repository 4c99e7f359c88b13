# SPDX-License-Identifier: GPL-3.0-or-later
"""Polls that say why a button is disabled, and calling a plain function from an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import bpy

from ...errors import EditError
from ...jobs import requests
from ...protocol import LocalProtocolError
from ...scene import planes

# What Blender expects of ``execute``, ``invoke`` and ``modal``.
Result = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]


def require(cls: Any, condition: bool, text: str) -> bool:
    """Return ``condition``; if it is False, ``text`` is why the button of ``cls`` is disabled."""
    if not condition:
        cls.poll_message_set(text)
    return condition


def poll_plane(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether a GAN image is active."""
    text = "Select a GAN image, or make one with New GAN Image"
    return require(cls, planes.active(context) is not None, text)


def poll_running(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether a GAN image is active that a request is running for."""
    return poll_plane(cls, context) and require(
        cls, _settings(context).request_id != 0, "Nothing is running for this image"
    )


def poll_free(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether a GAN image is active that no request is running for."""
    text = "The engine is working on this image; wait, or press Stop"
    return poll_plane(cls, context) and require(cls, _settings(context).request_id == 0, text)


def poll_image(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether a GAN image is active whose plane shows an image already."""
    text = "This plane has no image yet; wait for it, or press Update Image"
    return poll_plane(cls, context) and require(cls, bool(_settings(context).latent), text)


def poll_idle(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether both ``poll_free`` and ``poll_image`` are True."""
    return poll_free(cls, context) and poll_image(cls, context)


def poll_points(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether a GAN image is active whose points may be added and removed.

    A running drag follows them; other requests were made with the points as they were.
    """
    text = "The engine is working on this image; wait, or press Stop"
    return poll_image(cls, context) and require(
        cls, _settings(context).request_id == 0 or _settings(context).dragging, text
    )


def poll_pairs(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether an idle GAN image with an enabled pair is active."""
    if not poll_idle(cls, context):
        return False
    pairs = _settings(context).pairs
    text = "Add a pair of points first, or enable one"
    if any(pair.is_left for pair in pairs):
        text = "Press Use Here in the Points panel first, or add a pair of points"
    return require(cls, any(pair.enabled for pair in pairs), text)


def poll_sequence(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether an idle GAN image with a sequence is active."""
    return poll_idle(cls, context) and require(
        cls,
        _settings(context).sequence.image is not None,
        "There is no sequence yet; drag or bake first",
    )


def run(operator: Any, action: Callable[[], int | None]) -> Result:
    """Call a plain function, and report an ``EditError`` of it to the person.

    Args:
        operator: The running operator.
        action: The function. If it returns a request id, it has started that request. ``blender
            -b`` has no main loop in which the result could arrive, so there the request is waited
            for.

    Returns:
        The result for ``execute``: cancelled after an error, else finished.
    """
    try:
        request_id = action()
        if request_id is not None and bpy.app.background:
            requests.wait(request_id)
    except EditError as error:
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    except LocalProtocolError as error:  # what is stored in the .blend fits no request
        operator.report({"ERROR"}, f"What is stored in the .blend cannot be used: {error}")
        return {"CANCELLED"}
    return {"FINISHED"}


def _settings(context: bpy.types.Context) -> Any:
    return planes.require_active(context).draggan
