# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in local views: where the image is shown alone, its points are shown with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from . import planes


def show_points() -> None:
    """Add the points of images to the local views that show their images without them.

    Points that are not in the scene of a view are left out.
    """
    for point, space in _left_out():
        point.local_view_set(space, True)


def are_left_out() -> bool:
    """Return whether ``show_points`` would change anything; quick where no view is local."""
    return next(_left_out(), None) is not None


def _left_out() -> Iterator[tuple[bpy.types.Object, Any]]:
    """Yield the points that a local view lacks, with the space of the view."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            space: Any = area.spaces.active
            if area.type != "VIEW_3D" or space.local_view is None:
                continue
            objects = window.view_layer.objects
            for plane in planes.everywhere():
                if plane.name not in objects or not plane.local_view_get(space):
                    continue
                for pair in plane.draggan.pairs:
                    for point in {pair.handle, pair.target} - {None}:
                        if point.name in objects and not point.local_view_get(space):
                            yield point, space
