# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators share: polls that say why, and waiting where there is no main loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import bpy

from ...errors import EditError
from ...jobs import requests
from ...scene import planes

# What Blender expects of ``execute``, ``invoke`` and ``modal``.
Result = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]


def poll_plane(cls: Any, context: bpy.types.Context) -> bool:
    """Whether a GAN image is active; tells what to do otherwise."""
    if planes.active(context) is None:
        cls.poll_message_set("Select a GAN image, or make one with New GAN Image")
        return False
    return True


def poll_idle(cls: Any, context: bpy.types.Context) -> bool:
    """Whether a GAN image is active that has an image and nothing running."""
    if not poll_plane(cls, context):
        return False
    settings = planes.require_active(context).draggan
    if settings.request_id:
        cls.poll_message_set("The engine is working on this image; wait, or press Stop")
        return False
    if not settings.latent:
        cls.poll_message_set("This plane has no image yet; sample one")
        return False
    return True


def poll_pairs(cls: Any, context: bpy.types.Context) -> bool:
    """Whether an idle GAN image with an enabled pair is active."""
    if not poll_idle(cls, context):
        return False
    if not any(pair.enabled for pair in planes.require_active(context).draggan.pairs):
        cls.poll_message_set("Add a pair of points first, or enable one")
        return False
    return True


def run(operator: Any, action: Callable[[], int | None]) -> Result:
    """Call a plain function and report its refusal.

    An ``action`` that answers with a request's id has started it. Under ``blender -b`` there is
    no main loop that would bring the result, so it is waited for.
    """
    try:
        request_id = action()
        if request_id is not None and bpy.app.background:
            requests.wait(request_id)
    except EditError as error:
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    return {"FINISHED"}
