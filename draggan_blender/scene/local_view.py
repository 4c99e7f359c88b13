# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in local views: where the image is shown alone, its points are shown with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from . import planes


def show_points() -> None:
    """Add the points of images to the local views that show their images without them.

    Points that are not in the scene of a view are left out. It is quick where no view is local.
    """
    for point, space in list(_left_out()):
        point.local_view_set(space, True)


def _left_out() -> Iterator[tuple[bpy.types.Object, Any]]:
    """Yield the points that a local view lacks, with the space of the view."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            space: Any = area.spaces.active
            if area.type != "VIEW_3D" or space.local_view is None or space.use_local_collections:
                continue
            layer = window.view_layer
            for plane in planes.everywhere():
                if plane.name not in layer.objects or not _is_seen(plane, layer, space):
                    continue
                for pair in plane.draggan.pairs:
                    for point in {pair.handle, pair.target} - {None}:
                        # One that is hidden everywhere stays hidden.
                        is_shown = point.name in layer.objects and _is_seen(point, layer, None)
                        if is_shown and not _is_seen(point, layer, space):
                            yield point, space


def _is_seen(item: bpy.types.Object, layer: bpy.types.ViewLayer, space: Any) -> bool:
    # ``local_view_get`` of Blender 4.3 does not know the state of an object before its evaluation.
    return bool(item.visible_get(view_layer=layer, viewport=space))
