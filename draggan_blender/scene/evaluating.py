# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that Blender does not evaluate, and making it evaluate them for a moment.

Blender evaluates only what is enabled in viewports and in the view layer, and what something such
depends on; objects that are only hidden (H) count as enabled. Others stay where they were last,
also after a script or a key has moved them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import bpy


def is_evaluated(view_layer: bpy.types.ViewLayer, item: bpy.types.Object) -> bool:
    """Return whether Blender evaluates an object of itself, so that its matrix is up to date."""
    if item.hide_viewport or view_layer.objects.get(item.name) != item:
        return False
    if item.visible_get(view_layer=view_layer):
        return True
    # It is hidden, or all its collections are disabled.
    return any(
        collection.objects.get(item.name) == item
        for collection in _enabled(view_layer.layer_collection)
    )


def _enabled(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.Collection]:
    """Return the collections of a layer that are neither excluded nor disabled in viewports."""
    # What is below an enabled one may be excluded; below a disabled one, all is disabled.
    if layer.collection.hide_viewport:
        return
    if not layer.exclude:
        yield layer.collection
    for child in layer.children:
        yield from _enabled(child)


@contextlib.contextmanager
def evaluated(scene: bpy.types.Scene, objects: Sequence[bpy.types.Object]) -> Iterator[None]:
    """Make Blender evaluate objects that are disabled in viewports or excluded as well.

    A temporary visible empty is constrained to the objects. That causes an update of the scene: do
    not use this in a handler of updates.
    """
    probe = bpy.data.objects.new("GAN Image Probe", None)
    for item in objects:
        copy: Any = probe.constraints.new("COPY_LOCATION")
        copy.target = item
    scene.collection.objects.link(probe)
    try:
        yield
    finally:
        bpy.data.objects.remove(probe)
