# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what ``docs/pull.md`` describes, with mouse and keys, and takes its pictures.

Each station is checked: an error ends the script. So making the pictures also tests the tool in a
real window::

    python tools/window.py tools/pull_pictures.py --blender blender --zip ZIP \
        --engine-python .venv/bin/python --out docs

Needs ImageMagick. With ``--check``, all is done and checked, but no moving picture is made.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZE = (1280, 800)

# Places in the plane's units: x to the right, y up, the image reaches from -1 to 1.
_NOSE, _MUZZLE, _BROW, _EAR = (0.03, -0.16), (0.23, -0.34), (0.03, 0.25), (0.5, 0.43)
# Where a head that is turned about its nose has the brow.
_TURNED_BROW = (-0.15, 0.1)
# The image whose ear is lifted, the ear, where it goes, and two corners around both.
_EAR_SEED, _LOW_EAR, _LIFTED_EAR = 9, (-0.63, 0.03), (-0.69, 0.28)
_EAR_BOX = ((-0.95, -0.25), (-0.37, 0.55))
# The radius of the region, and how far it is turned: the tool turns by half a degree per px.
_RADIUS_NOTCHES, _TURN_PX = 3, 60
_TURN = math.radians(30.0)
# Between two movements of the mouse; without a GPU, Blender draws a few times a second.
_PACE_S = 0.12
_TIMEOUT_S = 120.0
_GIF_COLORS, _GIF_WIDTH, _GIF_DELAY = 64, 640, 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script to those of ``tools/window.py``."""
    parser.add_argument("--check", action="store_true", help="make no moving picture")


class _Person:
    """Somebody at the mouse, who works on the only image of the file."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.out: Path = window.options.out

    @property
    def area(self) -> Any:
        return self.window.area("VIEW_3D")

    @property
    def plane(self) -> Any:
        (plane,) = self.window.module("scene.planes").everywhere()
        return plane

    def at(self, place: tuple[float, float]) -> tuple[int, int]:
        """Return where a place of the image is in the window, px from its top-left corner."""
        from bpy_extras.view3d_utils import location_3d_to_region_2d
        from mathutils import Vector

        region = self.window.region(self.area)
        view = self.area.spaces.active.region_3d
        world: Any = self.plane.matrix_world @ Vector((*place, 0.0))
        seen: Any = location_3d_to_region_2d(region, view, world)
        height = self.window.window.height
        return int(region.x + seen.x), int(height - region.y - seen.y)

    def mouse(self, *words: str | int | float) -> Iterator[float]:
        yield from self.window.ask(["xdotool", *map(str, words)])

    def press_on(self, place: tuple[float, float]) -> Iterator[float]:
        """Press the left button on a place of the image."""
        x, y = self.at(place)
        rest = ("sleep", 0.6)
        yield from self.mouse("mousemove", x, y, *rest, "mousedown", 1, *rest)

    def move(self, way: list[tuple[int, int]]) -> Iterator[float]:
        """Move the mouse to positions in the window, one after another."""
        words: list[str | int | float] = []
        for x, y in way:
            words += ["mousemove", x, y, "sleep", _PACE_S]
        yield from self.mouse(*words)

    def release(self) -> Iterator[float]:
        yield from self.mouse("mouseup", 1, "sleep", 0.5)
        yield from self.until_idle()

    def until_idle(self) -> Iterator[float]:
        """Wait until no request is running for the image."""
        yield from self.until(lambda: not self.plane.draggan.request_id, "the drag to end")

    def until(self, condition: Any, what: str) -> Iterator[float]:
        """Wait until a condition holds.

        Raises:
            RuntimeError: It does not hold in time.
        """
        waited_s = 0.0
        while not condition():
            if waited_s > _TIMEOUT_S:
                raise RuntimeError(f"waited in vain for {what}")
            waited_s += 0.1
            yield 0.1

    def key(self, *keys: str) -> Iterator[float]:
        """Press keys over the middle of the image."""
        x, y = self.at((0.0, 0.9))
        yield from self.mouse("mousemove", x, y, "sleep", 0.5, "key", *keys, "sleep", 1.0)

    def take(self, name: str) -> Iterator[float]:
        """Take a picture of the window."""
        yield from self.window.take(self.out / "pull" / f"{name}.png")

    def take_while_pulling(self, name: str) -> Iterator[float]:
        """Take a picture of the window without moving the mouse."""
        path = self.out / "pull" / f"{name}.png"
        yield from self.window.ask(["import", "-window", "root", str(path.absolute())])
        fewer = ["-dither", "None", "-colors", "255", f"PNG8:{path.absolute()}"]
        yield from self.window.ask(["convert", str(path.absolute()), *fewer])


def _check(condition: bool, text: str) -> None:
    if not condition:
        raise RuntimeError(text)


def steps(window: Any) -> Iterator[float]:
    """Do and check everything; ``tools/window.py`` runs this.

    Args:
        window: The ``Window``.

    Yields:
        Seconds for Blender's main loop.
    """
    person = _Person(window)
    yield from _new_image(person, _EAR_SEED)
    yield from _recorded(person, "ear.gif", _lift_ear(person))
    yield from person.until_idle()
    yield from _new_image(person)
    yield from _recorded(person, "pull.gif", _pull(person))
    yield from _see_pull(person)
    yield from _pin(person)
    yield from _region(person)
    yield from _undo_and_redo(person)
    yield from _part(person)
    yield from _draw_masks(person)
    yield from _mask(person)
    yield from _pause(person)
    yield from _save_open_render(person)


def _new_image(person: _Person, seed: int | None = None) -> Iterator[float]:
    """Add an image from the *Add* menu, choose a seed, and choose the tool by its key."""
    import bpy

    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    yield from person.window.show_tab(person.area)
    region = person.window.region(person.area)
    height = person.window.window.height
    x, y = region.x + region.width // 3, height - region.y - region.height // 2
    yield from person.mouse("mousemove", x, y, "sleep", 1, "key", "shift+a", "sleep", 1.5)
    yield from person.mouse("type", "--delay", 250, "gan image")
    yield from person.mouse("sleep", 1, "key", "Return", "sleep", 2)
    planes = person.window.module("scene.planes")
    yield from person.until(lambda: planes.everywhere(), "the new image")
    yield from person.until_idle()
    yield 2.0
    if seed is not None:
        person.plane.draggan.source.seed = seed
        yield from person.until(lambda: person.plane.draggan.sampled_seed == seed, "the seed")
    yield from person.key("p")
    tools = person.window.window.workspace.tools
    tool = tools.from_space_view3d_mode("OBJECT", create=False)
    _check(tool.idname == "draggan.pull_tool", f"P has chosen the tool {tool.idname}")
    yield from person.take("new")
    person.area.spaces.active.show_region_ui = False
    yield 1.0


def _lift_ear(person: _Person) -> Iterator[float]:
    """Draw a rectangle around an ear by Shift-drag, and pull the ear up."""
    low, high = (person.at(corner) for corner in _EAR_BOX)
    yield from person.mouse("mousemove", *low, "sleep", 0.6, "keydown", "shift", "mousedown", 1)
    yield from person.move(_between(low, high, 6))
    yield from person.mouse("sleep", 0.3, "mouseup", 1, "sleep", 0.3, "keyup", "shift", "sleep", 1)
    _check(person.plane.draggan.mask is not None, "Shift-drag has drawn no mask")
    yield from person.press_on(_LOW_EAR)
    yield from person.move(_between(person.at(_LOW_EAR), person.at(_LIFTED_EAR), 20))
    yield from person.mouse("sleep", 0.5, "mouseup", 1)
    person.plane.draggan.show_mask = False
    yield 2.0


def _between(start: tuple[int, int], end: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Return positions on the straight way to ``end``, px in the window."""
    (x, y), (to_x, to_y) = start, end
    parts = (number / count for number in range(1, count + 1))
    return [(round(x + (to_x - x) * part), round(y + (to_y - y) * part)) for part in parts]


def _pull(person: _Person) -> Iterator[float]:
    """Pull at the nose."""
    (x, y), scale = person.at(_NOSE), person.at((1.0, 0.0))[0] - person.at((0.0, 0.0))[0]
    there = [
        (x + int(0.3 * scale * math.sin(part)), y - int(0.12 * scale * (1 - math.cos(part))))
        for part in (math.tau * number / 48 for number in range(1, 49))
    ]
    there += [(x + int(0.2 * scale * n / 12), y + int(0.06 * scale * n / 12)) for n in range(13)]
    yield from person.press_on(_NOSE)
    yield from person.move(there)
    before = person.plane.draggan.request_id
    _check(before != 0, "no drag is running during the pull")
    yield from person.release()
    yield 1.0


def _see_pull(person: _Person) -> Iterator[float]:
    """Check what the pull has left, and take a picture with the sidebar."""
    pair = person.plane.draggan.pairs[0]
    apart = (pair.handle.location - pair.target.location).length
    _check(apart < 0.04, f"the handle is {apart:.3f} from its target")
    _check(person.plane.draggan.sequence.frame_count > 1, "there is no sequence")
    yield from person.window.show_tab(person.area)
    yield from person.take("pulled")


def _recorded(person: _Person, name: str, steps: Iterator[float]) -> Iterator[float]:
    """Do some steps, and make a moving picture of them unless it is only a check."""
    if person.window.options.check:
        yield from steps
        return
    with tempfile.TemporaryDirectory() as folder:
        person.window.record(Path(folder))
        yield from steps
        person.window.record(None)
        yield 0.5
        yield from _moving_picture(person, Path(folder), name)


def _moving_picture(person: _Person, folder: Path, name: str) -> Iterator[float]:
    """Make a moving picture of the screens in a folder."""
    region = person.window.region(person.area)
    left, top, width, height = person.window.box(region)
    crop = f"{min(width, 900)}x{height}+{left}+{top}"
    # One by one: all screens at once are too much for ImageMagick's limits.
    smaller = ["-crop", crop, "+repage", "-resize", f"{_GIF_WIDTH}x"]
    screens = str(folder / "*.xwd")
    yield from person.window.ask(["mogrify", "-format", "png", *smaller, screens])
    command = ["convert", "-delay", str(_GIF_DELAY), "-loop", "0", str(folder / "*.png")]
    command += ["+dither", "-colors", str(_GIF_COLORS), "-fuzz", "3%", "-layers", "OptimizeFrame"]
    command += ["-layers", "OptimizeTransparency", str(person.out / name)]
    yield from person.window.ask(command)


def _pin(person: _Person) -> Iterator[float]:
    """Set a pin on the muzzle, beside the nose."""
    x, y = person.at(_MUZZLE)
    yield from person.mouse("mousemove", x, y, "sleep", 0.6, "mousedown", 1, "sleep", 0.3)
    yield from person.mouse("mouseup", 1, "sleep", 1)
    _check(person.plane.draggan.pairs[-1].is_pin, "the click has set no pin")


def _region(person: _Person) -> Iterator[float]:
    """Pull at the brow with a radius, and turn it by 30 degrees: the head turns about its nose."""
    x, y = person.at(_TURNED_BROW)
    yield from person.press_on(_BROW)
    yield from person.move(_between(person.at(_BROW), (x, y), 12))
    for _ in range(_RADIUS_NOTCHES):
        yield from person.mouse("click", 4, "sleep", 0.3)
    yield from person.mouse("key", "r", "sleep", 0.5)
    step = _TURN_PX // 12
    yield from person.move([(x + step * n, y) for n in range(1, 13)])
    pair = person.plane.draggan.pairs[-1]
    turned = abs(pair.target.rotation_euler.z)
    _check(abs(turned - _TURN) < math.radians(6.0), f"turned by {math.degrees(turned):.1f} degrees")
    _check(pair.radius > 0.05, "the pair has no radius")
    yield from person.take_while_pulling("region")
    yield from person.release()
    yield from person.take("points")


def _undo_and_redo(person: _Person) -> Iterator[float]:
    """Undo the three gestures one by one, and redo them."""
    counts = [len(person.plane.draggan.pairs)]
    for _ in range(3):
        yield from person.key("ctrl+z")
        counts.append(len(person.plane.draggan.pairs))
    yield from person.take("undone")
    for _ in range(3):
        yield from person.key("ctrl+shift+z")
        counts.append(len(person.plane.draggan.pairs))
    _check(counts == [3, 2, 1, 0, 1, 2, 3], f"undo and redo: {counts} pairs")
    yield from person.take("redone")


def _part(person: _Person) -> Iterator[float]:
    """Shift-click an ear: grow and shrink it, keep it, undo it, and take it back with Esc."""
    levels = person.window.module("scene.mask_images").levels
    x, y = person.at(_EAR)
    click = ("keydown", "shift", "sleep", 0.3, "mousedown", 1, "sleep", 0.2, "mouseup", 1)
    yield from person.mouse("mousemove", x, y, "sleep", 0.6, *click, "sleep", 0.5)
    yield from person.until(lambda: person.plane.draggan.mask is not None, "the part")
    shares = [float(levels(person.plane.draggan.mask).mean())]
    yield 1.0
    yield from person.take_while_pulling("part")
    for button in (4, 4, 5, 5, 5):
        yield from person.mouse("click", button, "sleep", 0.8)
        shares.append(float(levels(person.plane.draggan.mask).mean()))
    _check(shares[0] < shares[1] < shares[2], f"the wheel has not grown the part: {shares}")
    _check(shares[5] < shares[0] == shares[4], f"the wheel has not shrunk the part: {shares}")
    yield from person.mouse("click", 4, "sleep", 0.5, "keyup", "shift", "sleep", 1.0)
    _check(abs(float(levels(person.plane.draggan.mask).mean()) - shares[0]) < 1e-6, "not kept")
    # A second part is added, and Esc takes it back.
    x, y = person.at(_NOSE)
    yield from person.mouse("mousemove", x, y, "sleep", 0.6, *click, "sleep", 1.5)
    both = float(levels(person.plane.draggan.mask).mean())
    _check(both > shares[0], "the second part was not added")
    yield from person.mouse("key", "Escape", "sleep", 0.5, "keyup", "shift", "sleep", 0.5)
    _check(
        abs(float(levels(person.plane.draggan.mask).mean()) - shares[0]) < 1e-6, "not taken back"
    )
    yield from person.key("ctrl+z")
    _check(person.plane.draggan.mask is None, "one undo has not removed the mask")


def _draw_masks(person: _Person) -> Iterator[float]:
    """Draw a rectangle and a lasso by Shift-drag, and take both back."""
    tools = person.window.window.workspace.tools
    tool = tools.from_space_view3d_mode("OBJECT", create=False)
    corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5)]
    # A rectangle is drawn from its first corner to its last; a lasso goes along all.
    for kind, part in (("BOX", 0.25), ("LASSO", 0.125)):
        tool.operator_properties("draggan.mask_draw").kind = kind
        yield from _draw(person, corners)
        mask: Any = person.plane.draggan.mask
        _check(mask is not None, f"{kind}: Shift-drag has drawn no mask")
        levels = list(mask.pixels)[::4]
        found = sum(levels) / len(levels)
        _check(abs(found - part) < 0.03, f"{kind}: {found:.3f} of the mask is white, not {part}")
        yield from person.key("ctrl+z")
        _check(person.plane.draggan.mask is None, f"{kind}: one undo has not removed the mask")
    tool.operator_properties("draggan.mask_draw").kind = "BOX"


def _draw(person: _Person, corners: list[tuple[float, float]]) -> Iterator[float]:
    """Shift-drag along some places."""
    yield from person.mouse("mousemove", *person.at(corners[0]), "keydown", "shift")
    yield from person.press_on(corners[0])
    yield from person.move([person.at(corner) for corner in corners])
    yield from person.mouse("mouseup", 1, "sleep", 0.3, "keyup", "shift", "sleep", 1)


def _mask(person: _Person) -> Iterator[float]:
    """Paint over the ears what must stay.

    Some packages of Blender 4.3 come without brushes, so nothing can be painted in them: there, the
    mask that stays is a rectangle.
    """
    import bpy

    operators: Any = bpy.ops
    with person.window.within(person.area):
        operators.draggan.mask_paint()
    yield 2.0
    if bpy.context.scene.tool_settings.image_paint.brush is None:
        print("pull_pictures: this Blender has no brushes, nothing is painted", flush=True)
        with person.window.within(person.area):
            operators.draggan.mask_paint()
        yield 1.0
        yield from person.key("p")
        yield from _draw(person, [(-0.9, -0.9), (0.9, 0.9)])
        return
    for side in (-1, 1):
        x, y = person.at((0.62 * side, 0.3))
        yield from person.press_on((0.62 * side, 0.3))
        yield from person.move([(x, y + 12 * n) for n in range(1, 9)])
        yield from person.mouse("mouseup", 1, "sleep", 0.5)
    yield from person.take("mask")
    with person.window.within(person.area):
        operators.draggan.mask_paint()
    yield 1.0
    mask: Any = person.plane.draggan.mask
    levels = list(mask.pixels)[::4]
    _check(0.5 < sum(levels) / len(levels) < 0.999, "nothing was painted")
    _check(person.plane.mode == "OBJECT", "painting has not ended")


def _pause(person: _Person) -> Iterator[float]:
    """Pause a drag, and let it go on."""
    import bpy

    operators: Any = bpy.ops
    pair = person.plane.draggan.pairs[0]
    pair.target.location.x -= 0.3
    person.plane.draggan.drag.tolerance_px = 0.1
    with person.window.within(person.area):
        operators.draggan.drag()
        operators.draggan.pause()
    yield 2.0
    _check(person.plane.draggan.request_id != 0, "the paused drag has ended")
    yield from person.take("paused")
    with person.window.within(person.area):
        operators.draggan.pause()
    yield from person.until_idle()


def _save_open_render(person: _Person) -> Iterator[float]:
    """Save, open and render the file; the picture must show the image."""
    import bpy
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "pulled.blend")
        place = person.plane.draggan.pairs[0].handle.location[:]
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        bpy.ops.wm.open_mainfile(filepath=str(path))
        yield 3.0
        plane, scene = person.plane, bpy.context.scene
        _check(plane.draggan.pairs[0].handle.location[:] == place, "the handle has moved")
        data = bpy.data.cameras.new("Camera")
        data.type, data.ortho_scale = "ORTHO", 2.0
        camera = bpy.data.objects.new("Camera", data)
        scene.collection.objects.link(camera)
        camera.matrix_world = plane.matrix_world @ camera.matrix_world
        camera.location += plane.matrix_world.to_3x3().col[2] * 3.0
        scene.camera = camera
        scene.render.resolution_x = scene.render.resolution_y = 256
        scene.render.filepath = str(Path(name, "render.png"))
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        stored: Any = image.pixels
        pixels = np.array(stored[:]).reshape(-1, 4)[:, :3]
        _check(pixels.std() > 0.05, "the render shows nothing")
        print(f"pull_pictures: done, {plane.draggan.status}", flush=True)
