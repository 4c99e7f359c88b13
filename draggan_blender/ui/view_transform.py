# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that keep their colours follow the scene's view transform when it is changed."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..errors import EditError
from ..scene import images, planes

# What Blender knows the subscription by.
_OWNER = object()


def _follow() -> None:
    for plane in planes.everywhere():
        if plane.draggan.keep_colours:
            try:
                images.match_colours(plane)
            except EditError:
                continue  # its material was changed; what shows the image next says so


def _subscribe(*_arguments: Any) -> None:
    """Subscribe to the view transforms; Blender forgets subscriptions when a file is opened."""
    bpy.msgbus.clear_by_owner(_OWNER)
    key: Any = (bpy.types.ColorManagedViewSettings, "view_transform")
    bpy.msgbus.subscribe_rna(key=key, owner=_OWNER, args=(), notify=_follow)


_HANDLER = persistent(_subscribe)


def register() -> None:
    """Subscribe, now and after each file."""
    _subscribe()
    bpy.app.handlers.load_post.append(_HANDLER)


def unregister() -> None:
    """Remove the subscription and its handler."""
    bpy.app.handlers.load_post.remove(_HANDLER)
    bpy.msgbus.clear_by_owner(_OWNER)
