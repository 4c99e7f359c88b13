# SPDX-License-Identifier: GPL-3.0-or-later
"""Performs the steps of ``docs/animate.md`` and takes its pictures.

The steps have the order and the numbers of the page and use the operators of its buttons, so making
the pictures also tests the page::

    python tools/window.py tools/animate_pictures.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out docs/animate

Needs Blender 5.2 or later. Ends with an error if the handles do not follow their targets.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZE = (1400, 1130)
# Positions are in the plane's units, as on the page; keys are a frame and the nose's target.
_NOSE = (0.03, -0.11)
_NOSE_KEYS = (
    (1, (0.03, -0.11)),
    (13, (0.33, -0.14)),
    (25, (0.33, -0.14)),
    (37, (0.1, -0.24)),
    (48, (0.03, -0.11)),
)
_EAR = (-0.64, -0.02)
_EAR_DRIVER = "-0.02 + 0.08 * (1 - cos((frame - 1) / 7.5))"
_MOVED_KEY = (37, (0.2, -0.24))
_CLIP_FRAMES = (1, 24, 33, 42, 48)
# Which panels are open: those that the page is about.
_PANELS = {
    "seeds": False,
    "drag": False,
    "history": False,
    "bake_settings": True,
    "timing": True,
}
# How much the Graph Editor is made higher than the Timeline was, in px.
_GRAPH_HEIGHT = 160
# How often the sidebar is scrolled down then: to its end.
_SCROLLS = 20
# A handle farther from its target than this has not followed it; image pixels.
_WITHIN_PX = 2.0


def steps(window: Any) -> Iterator[float]:
    """Perform the page from its first step to its last; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.

    Raises:
        RuntimeError: A request failed, or the handles do not follow their targets.
    """
    out, folder = window.options.out, Path(tempfile.mkdtemp(prefix="draggan-animate-"))
    try:
        yield from _new_image(window, folder, out)
        yield from _points(window, out)
        yield from _keys(window, out)
        yield from _bake(window, out)
        yield from _bake_again(window, out)
        yield from _retime(window, out)
        yield from _clip(window, folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_image(window: Any, folder: Path, out: Path) -> Iterator[float]:
    import bpy

    bpy.context.preferences.view.smooth_view = 0
    area = window.area("VIEW_3D")
    with window.within(area):
        bpy.ops.object.select_all(action="SELECT")
        bpy.ops.object.delete()
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / "suzanne.blend"))
        bpy.context.scene.frame_end = 48
        bpy.ops.view3d.view_axis(type="TOP")
        area.spaces.active.shading.type = "MATERIAL"
    window.open_panels(**_PANELS)
    yield from window.show_tab(area)
    with window.within(area):
        bpy.context.scene.draggan.source.seed = 4
        bpy.ops.draggan.new_image()
    yield from _wait(_plane())
    with window.within(area):
        bpy.ops.view3d.view_selected()
        for _ in range(2):  # the sidebar covers a part of the view
            bpy.ops.view3d.zoom(delta=-1)
    yield 8.0  # Blender compiles shaders
    yield from window.take(out / "image.png", _frame(window))
    with window.within(area):
        bpy.ops.draggan.keep_colours()
    yield 1.0


def _points(window: Any, out: Path) -> Iterator[float]:
    import bpy

    area = window.area("VIEW_3D")
    with window.within(area):
        bpy.ops.draggan.add_pair()
        bpy.ops.draggan.add_pair()
        nose, ear = _plane().draggan.pairs
        nose.handle.location[:2] = nose.target.location[:2] = _NOSE
        ear.handle.location[:2] = ear.target.location[:2] = _EAR
    yield from window.take(out / "points.png", _frame(window))


def _keys(window: Any, out: Path) -> Iterator[float]:
    import bpy

    area, scene = window.area("VIEW_3D"), bpy.context.scene
    nose, ear = _plane().draggan.pairs
    with window.within(area):
        _select(nose.target)
        for frame, place in _NOSE_KEYS:
            scene.frame_set(frame)
            _key_target(nose, place)
        ear.target.driver_add("location", 1).driver.expression = _EAR_DRIVER
    scene.frame_set(13)
    plane, state = _plane(), window.module("connection.pump").state
    # Wait until the frame at the playhead is solved.
    while not plane.draggan.previewing or state().active is not None:
        yield 0.2
    yield from window.take(out / "keys.png", _frame(window))


def _bake(window: Any, out: Path) -> Iterator[float]:
    import bpy

    area, plane, scene = window.area("VIEW_3D"), _plane(), bpy.context.scene
    scene.frame_set(1)
    with window.within(area):
        bpy.ops.draggan.bake()
    while window.module("connection.pump").state().fraction < 0.4:
        yield 0.1
    yield from window.take(out / "baking.png", _frame(window))
    yield from _wait(plane)
    _require_followed(plane)
    scene.frame_set(37)
    yield from window.take(out / "baked.png", _frame(window))


def _bake_again(window: Any, out: Path) -> Iterator[float]:
    """Move a key, animate an influence and set smoothing, with a bake after each."""
    import bpy

    area, plane, scene = window.area("VIEW_3D"), _plane(), bpy.context.scene
    nose, ear = plane.draggan.pairs
    frame, place = _MOVED_KEY
    with window.within(area):
        scene.frame_set(frame)
        _key_target(nose, place)
        bpy.ops.draggan.bake()
    yield from _wait(plane)
    for frame, influence in ((13, 1.0), (25, 0.0)):
        scene.frame_set(frame)
        ear.influence = influence
        # As the key I does over the field.
        ear.keyframe_insert("influence")
    with window.within(area):
        bpy.ops.draggan.bake()
    yield from _wait(plane)
    plane.draggan.bake.smoothing = 1.0
    with window.within(area):
        bpy.ops.draggan.bake()
    yield from _wait(plane)
    _require_followed(plane)
    yield 1.0
    yield from window.take(out / "again.png", window.box(window.region(area, "UI")))


def _retime(window: Any, out: Path) -> Iterator[float]:
    import bpy

    area, plane = window.area("VIEW_3D"), _plane()
    with window.within(area):
        _select(plane)
        bpy.ops.draggan.retime()
    graph = window.area("DOPESHEET_EDITOR")
    graph.ui_type = "FCURVES"
    yield 2.0
    with window.within(graph):
        # Move the edge between both editors up.
        bpy.ops.screen.area_move(
            x=graph.x + graph.width // 2, y=graph.y + graph.height, delta=_GRAPH_HEIGHT
        )
    yield 2.0
    graph.spaces.active.show_region_ui = False
    curve = window.module("compat").find_fcurve(
        plane, window.module("scene.timing").PROGRESS_PATH, 0
    )
    with window.within(graph, "CHANNELS"):
        bpy.ops.anim.channels_expand(all=True)
        bpy.ops.anim.channels_select_all(action="DESELECT")
    with window.within(graph):
        bpy.ops.graph.select_all(action="DESELECT")
        curve.select = True
        for key in curve.keyframe_points:
            key.select_control_point = True
        bpy.ops.graph.interpolation_type(type="QUAD")
        bpy.ops.graph.easing_type(type="EASE_IN")
        bpy.ops.graph.view_selected()
    # The view is less high now: the end of the sidebar has what the page is about.
    for _ in range(_SCROLLS):
        with window.within(area, "UI"):
            bpy.ops.view2d.scroll_down()
        yield 0.2
    bpy.context.scene.frame_set(24)
    yield from window.take(out / "progress.png", _frame(window))


def _clip(window: Any, folder: Path, out: Path) -> Iterator[float]:
    import bpy

    scene, plane = bpy.context.scene, _plane()
    area = window.area("VIEW_3D")
    with window.within(area):
        bpy.ops.object.camera_add(location=(0.0, 0.0, 2.0), rotation=(0.0, 0.0, 0.0))
        camera = bpy.context.object
        camera.data.type, camera.data.ortho_scale = "ORTHO", 2.0
        scene.camera = camera
        scene.render.engine, scene.cycles.samples = "CYCLES", 16
        scene.render.resolution_x = scene.render.resolution_y = 512
        bpy.ops.wm.save_mainfile()
        _select(plane)
        bpy.ops.draggan.export_video(filepath=str(folder / "suzanne.mp4"))
        bpy.ops.draggan.bake_down(filepath=str(folder / "suzanne_baked.blend"))
    rings = [_ring(window, plane, frame) for frame in _CLIP_FRAMES]
    yield 1.0
    # Render in a colleague's Blender: the file was moved, and the extension is not installed.
    moved = folder / "colleague"
    moved.mkdir()
    for name in ("suzanne_baked.blend", "suzanne_baked_images"):
        (folder / name).rename(moved / name)
    numbers = ",".join(str(frame) for frame in _CLIP_FRAMES)
    flags = ["-b", "--factory-startup", str(moved / "suzanne_baked.blend")]
    render = ["-E", "CYCLES", "-o", str(moved / "clip_####"), "-F", "PNG", "-x", "1"]
    yield from window.ask([window.options.blender, *flags, *render, "-f", numbers])
    files = [str(moved / f"clip_{frame:04d}.png") for frame in _CLIP_FRAMES]
    drawn = ["-fill", "none", "-stroke", "#2a8cff", "-strokewidth", "3"]
    for file, ring in zip(files, rings, strict=True):
        yield from window.ask(["convert", file, *drawn, "-draw", ring, "-resize", "50%", file])
    yield from window.ask(["convert", *files, "+append", str(out.absolute() / "clip.png")])


# ---------------------------------------------------------------- parts of steps


def _frame(window: Any) -> tuple[int, int, int, int]:
    """Return the box of the 3D view and the editor below it."""
    view = window.area("VIEW_3D")
    left, top, width, _ = window.box(view)
    lowest = min(area.y for area in window.window.screen.areas if area.x == view.x)
    return left, top, width, window.window.height - lowest - top


def _plane() -> Any:
    import bpy

    return next(item for item in bpy.data.objects if item.draggan.uuid)


def _select(chosen: Any) -> None:
    import bpy

    bpy.ops.object.select_all(action="DESELECT")
    chosen.select_set(True)
    bpy.context.view_layer.objects.active = chosen


def _key_target(pair: Any, place: tuple[float, float]) -> None:
    """Move a selected target and insert a key, as the key I does."""
    import bpy

    pair.target.location[:2] = place
    bpy.ops.anim.keyframe_insert()


def _wait(plane: Any) -> Iterator[float]:
    """Wait until the plane's request is done.

    Raises:
        RuntimeError: The request failed.
    """
    while plane.draggan.request_id:
        yield 0.1
    print(f"{plane.name}: {plane.draggan.status}", flush=True)
    if plane.draggan.failed:
        raise RuntimeError(plane.draggan.status)


def _places(pair: Any) -> tuple[Any, Any]:
    """Return handle and target at the current frame, in the plane's units."""
    import bpy

    depsgraph = bpy.context.evaluated_depsgraph_get()
    handle, target = (
        point.evaluated_get(depsgraph).matrix_world.translation.xy.copy()
        for point in (pair.handle, pair.target)
    )
    return handle, target


def _require_followed(plane: Any) -> None:
    """Check that a bake's handles are at their targets.

    Raises:
        RuntimeError: A handle is too far from its target on more than two of the 48 frames.
    """
    import bpy

    scene = bpy.context.scene
    far, worst = 0, 0.0
    for frame in range(1, 49):
        scene.frame_set(frame)
        apart = 0.0
        for pair, base in zip(plane.draggan.pairs, (_NOSE, _EAR), strict=True):
            handle, target = _places(pair)
            wanted = [a + pair.influence * (b - a) for a, b in zip(base, target, strict=True)]
            apart = max(apart, math.dist(handle, wanted) * plane.draggan.size[0] / 2.0)
        far, worst = far + (apart > _WITHIN_PX), max(worst, apart)
    print(f"farthest {worst:.2f} px, {far} of 48 frames over {_WITHIN_PX} px", flush=True)
    if far > 2:
        raise RuntimeError("The handles do not follow their targets")


def _ring(window: Any, plane: Any, frame: int) -> str:
    """Return ImageMagick's command for a ring around the nose's target in the shown image."""
    import bpy

    scene = bpy.context.scene
    scene.frame_set(frame)
    row = window.module("scene.timing").shown_row(plane)
    scene.frame_set(1 + row)
    _, target = _places(plane.draggan.pairs[0])
    x, y = 256.0 * (1.0 + target.x), 256.0 * (1.0 - target.y)
    return f"circle {x:.1f},{y:.1f} {x + 14.0:.1f},{y:.1f}"
