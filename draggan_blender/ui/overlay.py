# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the points of GAN images over every 3D view, in screen pixels.

The points of the active image are drawn with numbers and paths, those of other images faintly. An
image that waits until the engine has started says so: the sidebar may be closed.
Nothing is written while a view is being drawn, and an error is logged once and not raised.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix, Vector

from ..connection import pump
from ..connection.state import EnginePhase
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from ..scene import overlay_data, planes, points, timing
from ..scene.overlay_data import Drawing, Label, Mark
from ..scene.overlay_shapes import WHITE

_LOG = logging.getLogger(__name__)

_FONT = 0
_FONT_POINTS = 11.0

# The opacity of pairs that are not enabled, and of images that are not active.
_FAINT = 0.35
# A path is drawn through at most this many of its points.
_PATH_POINTS = 96
# Where the longer side of an image is shorter than this in the view, its points are smaller, and
# without numbers below the second size.
_SMALL_PX, _LEAST_SIZE, _NUMBER_SIZE = 260.0, 0.4, 0.7
# How often the file is searched for GAN images while views are redrawn.
_SEARCH_S = 1.0

_CIRCLE = np.linspace(0.0, 2.0 * np.pi, 49)
_UNIT = np.column_stack((np.cos(_CIRCLE), np.sin(_CIRCLE), np.zeros(49)))

_handle: Any = None
_has_failed = False
_names: list[str] = []
_searched = (-1, 0.0)


def _on_draw() -> None:
    """Draw the overlay of the view that Blender is drawing."""
    global _has_failed
    try:
        context = bpy.context
        if is_shown(context):
            marks, waiting = read(context), texts(context)
            if marks or waiting:
                scale = context.preferences.system.ui_scale
                drawing = overlay_data.draw(marks, scale)
                drawing.labels += waiting
                render(drawing, scale, context.preferences)
    except Exception:  # Blender would print it for each redraw
        if not _has_failed:
            _has_failed = True
            _LOG.exception("The overlay of the points cannot be drawn")


def is_shown(context: bpy.types.Context) -> bool:
    """Return whether the overlay is on in a view."""
    space: Any = context.space_data
    if space is None or space.type != "VIEW_3D" or not space.overlay.show_overlays:
        return False
    return bool(context.scene.draggan.show_points)


def read(context: bpy.types.Context) -> list[Mark]:
    """Return the pairs that are visible in a view, the active image's last."""
    space: Any = context.space_data
    active = planes.active(context)
    seen = _Seen(context)
    for plane in sorted(_images(), key=lambda plane: plane == active):
        if plane.visible_get(view_layer=context.view_layer, viewport=space):
            size = seen.size_of(plane, context.preferences)
            for index, pair in enumerate(plane.draggan.pairs):
                seen.add(plane, pair, size, is_active=plane == active, index=index)
    return seen.marks()


def texts(context: bpy.types.Context) -> list[Label]:
    """Return what is written over the middle of each visible image that waits for the engine."""
    if pump.state().engine not in (EnginePhase.STARTING, EnginePhase.LOADING):
        return []
    space: Any = context.space_data
    region: Any = context.region
    region_3d: Any = context.region_data
    found = []
    for plane in _images():
        if not plane.draggan.request_id or not plane.visible_get(
            view_layer=context.view_layer, viewport=space
        ):
            continue
        middle: Any = plane.matrix_world @ (sum(map(Vector, plane.bound_box), Vector()) / 8.0)
        place: Any = location_3d_to_region_2d(region, region_3d, middle)
        if place is not None:
            found.append(Label("The engine is starting", (place.x, place.y), WHITE, 1.0, True))
    return found


def _images() -> list[Plane]:
    """Return the GAN images of the file; large files are not searched for each redraw."""
    global _names, _searched
    count, now_s = len(bpy.data.objects), time.monotonic()
    if count != _searched[0] or now_s - _searched[1] > _SEARCH_S:
        _names = [plane.name for plane in planes.everywhere()]
        _searched = (count, now_s)
    found = [bpy.data.objects.get(name) for name in _names]
    return [plane for plane in found if planes.is_plane(plane)]


class _Seen:
    """Collects the pairs of a view, and projects all of their positions at once."""

    def __init__(self, context: bpy.types.Context) -> None:
        self._view_layer = context.view_layer
        self._space: Any = context.space_data
        region_3d: Any = context.region_data
        self._to_clip = np.array(region_3d.perspective_matrix)
        region: Any = context.region
        self._size = np.array((region.width, region.height), dtype=np.float64)
        self._points: list[tuple[float, float, float]] = []
        self._lines: list[Any] = []
        self._line_rows = 0
        self._pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def size_of(self, plane: Plane, preferences: Any) -> float:
        """Return the factor for the sizes of a plane's points, 1 if it is not small in the view."""
        corners = _moved(plane.matrix_world, np.array(plane.bound_box)[[0, 4, 7, 3]])
        clip = corners @ self._to_clip[:, :3].T + self._to_clip[:, 3]
        if (clip[:, 3] <= 1e-6).any():
            return 1.0
        places = clip[:, :2] / clip[:, 3:] * 0.5 * self._size
        sides = np.linalg.norm(places - np.roll(places, 1, axis=0), axis=1)
        side = float(sides.max()) / preferences.system.ui_scale
        return float(min(1.0, max(_LEAST_SIZE, side / _SMALL_PX)))

    def add(
        self, plane: Plane, pair: DRAGGAN_PG_pair, size: float, *, is_active: bool, index: int
    ) -> None:
        """Add a pair, of which points that are hidden in this view are left out."""
        handle, target = self._visible(pair.handle), self._visible(pair.target)
        if handle is None and target is None:
            return
        has_number = is_active and size >= _NUMBER_SIZE
        fixed: dict[str, Any] = {
            "number": str(pair.number or index + 1) if has_number else "",
            "size": size,
            "color": tuple(pair.color),
            "is_pin": pair.is_pin,
            "state": points.shown_state(pair),
            "alpha": 1.0 if is_active and pair.enabled else _FAINT,
            "is_handle_selected": handle is not None and handle.select_get(),
            "is_target_selected": target is not None and target.select_get(),
        }
        places = {
            "handle": self._put_point(handle),
            "target": self._put_point(target),
            "lines": self._lines_of(plane, pair, handle, target) if is_active else [],
        }
        self._pairs.append((fixed, places))

    def _visible(self, point: bpy.types.Object | None) -> bpy.types.Object | None:
        if point is None or not point.visible_get(
            view_layer=self._view_layer, viewport=self._space
        ):
            return None
        return point

    def _lines_of(
        self,
        plane: Plane,
        pair: DRAGGAN_PG_pair,
        handle: bpy.types.Object | None,
        target: bpy.types.Object | None,
    ) -> list[slice]:
        """Add the circles of a region with a hand each, and the path of a handle."""
        lines = []
        if pair.radius and not pair.is_pin:
            for point in (handle, target):
                if point is not None:
                    circle = np.vstack((_UNIT, (0.0, 0.0, 0.0))) * pair.radius
                    lines.append(self._put_line(_moved(point.matrix_world, circle[:-1])))
                    hand = circle[:1] * np.array([[0.6], [1.0]])
                    lines.append(self._put_line(_moved(point.matrix_world, hand)))
        path = timing.path_keys(pair.handle) if handle is not None and pair.has_base else None
        if path is not None and len(path) > 1:
            kept = path[np.linspace(0, len(path) - 1, min(len(path), _PATH_POINTS)).astype(int)]
            local = np.column_stack((kept, np.zeros(len(kept))))
            lines.append(self._put_line(_moved(plane.matrix_world, local)))
        return lines

    def _put_point(self, point: bpy.types.Object | None) -> int | None:
        if point is None:
            return None
        place: Any = point.matrix_world.translation
        self._points.append(tuple(place))
        return len(self._points) - 1

    def _put_line(self, world: Any) -> slice:
        start = self._line_rows
        self._line_rows += len(world)
        self._lines.append(world)
        return slice(start, self._line_rows)

    def marks(self) -> list[Mark]:
        """Return the pairs with their places in the region."""
        if not self._pairs:
            return []
        places = np.concatenate((np.array(self._points), *self._lines))
        clip = places @ self._to_clip[:, :3].T + self._to_clip[:, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            on_screen = (clip[:, :2] / clip[:, 3:] * 0.5 + 0.5) * self._size
        on_screen[clip[:, 3] <= 1e-6] = np.nan
        seen = [(x, y) if x == x else None for x, y in on_screen[: len(self._points)].tolist()]
        on_screen = on_screen[len(self._points) :].astype(np.float32)

        return [
            Mark(
                handle=None if where["handle"] is None else seen[where["handle"]],
                target=None if where["target"] is None else seen[where["target"]],
                lines=tuple(on_screen[line] for line in where["lines"]),
                **fixed,
            )
            for fixed, where in self._pairs
        ]


def _moved(matrix: Matrix, local: Any) -> Any:
    """Transform ``N x 3`` positions."""
    rows = np.array(matrix)
    return local @ rows[:3, :3].T + rows[:3, 3]


def render(drawing: Drawing, scale: float, preferences: Any) -> None:
    """Draw shapes and texts into the region that Blender is drawing."""
    gpu.state.blend_set("ALPHA")
    gpu.state.depth_test_set("NONE")
    _draw_lines(drawing, preferences.system.pixel_size)
    corners, colors = drawing.triangles()
    if len(corners):
        shader: Any = gpu.shader.from_builtin("SMOOTH_COLOR")
        batch_for_shader(shader, "TRIS", {"pos": corners, "color": colors}).draw(shader)
    gpu.state.blend_set("NONE")
    blf.size(_FONT, _FONT_POINTS * scale)
    for label in drawing.labels:
        _write(label)


def _draw_lines(drawing: Drawing, line_px: float) -> None:
    """Draw all lines three times: a dark rim, a white rim, and their colours."""
    shader: Any = gpu.shader.from_builtin("POLYLINE_SMOOTH_COLOR")
    places, colors = drawing.segments()
    if not len(places):
        return
    dark, white = np.zeros_like(colors), np.ones_like(colors)
    dark[:, 3], white[:, 3] = colors[:, 3] * 0.65, colors[:, 3]
    size: Any = gpu.state.viewport_get()
    shader.bind()
    shader.uniform_float("viewportSize", size[2:])
    for width, rgba in zip(overlay_data.LINE_WIDTHS, (dark, white, colors), strict=True):
        shader.uniform_float("lineWidth", width * line_px)
        batch_for_shader(shader, "LINES", {"pos": places, "color": rgba}).draw(shader)


def _write(label: Label) -> None:
    """Write a text around its middle; on the image itself it gets a dark outline."""
    size: Any = blf.dimensions(_FONT, label.text)
    width, height = size
    x, y = label.place
    if label.is_bare:
        blf.enable(_FONT, blf.SHADOW)
        blf.shadow(_FONT, 6, 0.0, 0.0, 0.0, label.alpha)
        blf.shadow_offset(_FONT, 0, 0)
    blf.color(_FONT, *label.color, label.alpha)
    blf.position(_FONT, round(x - width / 2), round(y - height / 2), 0)
    blf.draw(_FONT, label.text)
    blf.disable(_FONT, blf.SHADOW)


def register() -> None:
    """Add the callback that draws."""
    global _handle, _has_failed
    _has_failed = False
    _handle = bpy.types.SpaceView3D.draw_handler_add(_on_draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """Remove the callback that draws, and have the views drawn without it."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    _names.clear()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
