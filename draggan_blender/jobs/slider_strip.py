# SPDX-License-Identifier: GPL-3.0-or-later
"""A strip: small images of one slider at several strengths, or with several layers, to choose from.

There is one strip in a session of Blender, for one slider of one image. It is not stored in the
.blend, and shows the image as it was when its pictures were made. A request of a person cancels the
strip's; ``go_on`` asks for the rest when the engine is idle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy
import numpy as np

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.direction_messages import PictureStrip, StripPicture
from ..protocol.messages import Ending, Failed, Message
from ..scene import edits, models, planes, sliders, thumbnails
from ..scene.sliders import Setting
from . import delivery, requests

# The strengths of a strip.
STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
# How many crossings a strip shows at most.
_CROSSINGS = 12
# Time between two looks.
_PERIOD_S = 0.05


@dataclass(frozen=True)
class Tile:
    """One picture of a strip.

    Attributes:
        setting: How the slider is set in it.
        text: What its button says.
    """

    setting: Setting
    text: str


@dataclass
class _Strip:
    """The open strip: what it shows, and which of its pictures have arrived."""

    image_id: str
    key: int
    tiles: tuple[Tile, ...]
    icons: dict[int, int] = field(default_factory=dict)
    request_id: int = 0
    failed: bool = False


_strip: _Strip | None = None


def show_strengths(plane: Plane, index: int) -> None:
    """Show a slider from -3 to 3, over its layers.

    Raises:
        EditError: The image cannot be read.
    """
    row = plane.draggan.sliders[index]
    layers = row.first, row.last
    tiles = [Tile(Setting(one, *layers), f"{one:+g}" if one else "0") for one in STRENGTHS]
    _open(plane, index, tiles)


def show_crossings(plane: Plane, index: int) -> None:
    """Show a style with all layers, with all but the first one, and so on, to none.

    Raises:
        EditError: The image cannot be read.
    """
    count = sliders.num_ws(plane)
    firsts = sorted({round(one) for one in np.linspace(0, count - 1, min(_CROSSINGS, count))})
    strength = plane.draggan.sliders[index].strength or 1.0
    tiles = [Tile(Setting(strength, first, count - 1), f"From {first}") for first in firsts]
    _open(plane, index, tiles)


def tiles_of(plane: Plane, index: int) -> list[tuple[Tile, int]]:
    """Return the pictures of the strip with their icons, if it is that of a slider; else none."""
    if _strip is None or not 0 <= index < len(plane.draggan.sliders):
        return []
    is_mine = (_strip.image_id, _strip.key) == (
        plane.draggan.uuid,
        plane.draggan.sliders[index].key,
    )
    if not is_mine:
        return []
    grey = thumbnails.icon_to_come()
    return [(tile, _strip.icons.get(n, grey)) for n, tile in enumerate(_strip.tiles)]


def take(plane: Plane, index: int, number: int) -> None:
    """Set the slider as in a picture of its strip.

    Raises:
        EditError: There is no such picture.
    """
    tiles = tiles_of(plane, index)
    if not 0 <= number < len(tiles):
        raise EditError("The strip is of another slider; show it again")
    row, setting = plane.draggan.sliders[index], tiles[number][0].setting
    row.first, row.last, row.strength = setting.first, setting.last, setting.strength


def close() -> None:
    """Close the strip, and cancel its request."""
    global _strip
    if _strip is not None and _strip.request_id:
        pump.cancel_job(requests.explore_id(_strip.image_id))
    _strip = None


def go_on() -> float | None:
    """Ask for the pictures that are missing, if the engine is idle; called by a timer.

    Returns:
        The seconds to the next call, or None if there is nothing more to do.
    """
    strip = _strip
    if strip is None or strip.failed or len(strip.icons) == len(strip.tiles):
        return None
    plane = planes.find(strip.image_id)
    if plane is None:
        close()
        return None
    if strip.request_id or pump.state().active is not None:
        return _PERIOD_S
    try:
        _ask(plane, strip)
    except EditError as error:
        plane.draggan.status, plane.draggan.failed = str(error), True
        strip.failed = True
    return _PERIOD_S


def _open(plane: Plane, index: int, tiles: list[Tile]) -> None:
    global _strip
    requests.require_image(plane)
    close()
    _strip = _Strip(plane.draggan.uuid, plane.draggan.sliders[index].key, tuple(tiles))
    if not bpy.app.timers.is_registered(go_on):
        bpy.app.timers.register(go_on, first_interval=0.0, persistent=True)


def _ask(plane: Plane, strip: _Strip) -> None:
    settings = plane.draggan
    now = sliders.wanted_settings(plane, keyed=True)
    below = edits.pictures(plane, [edits.strengths_of(settings.edits)])[0]
    missing = [n for n in range(len(strip.tiles)) if n not in strip.icons]
    pictures = [
        sliders.applied(plane, below, {**now, strip.key: strip.tiles[n].setting}) for n in missing
    ]
    request = PictureStrip(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        pictures=b"".join(pictures),
        sizes=tuple(map(len, pictures)),
        size_px=thumbnails.SIZE_PX,
    )
    strip.request_id = request.request_id
    requests.give_to(request.request_id, lambda message: _take(strip, missing, message))
    job_id = requests.explore_id(strip.image_id)
    pump.submit(pump.Job(request=request, image_id=job_id, label=f"Strip of {plane.name}"))


def _take(strip: _Strip, numbers: list[int], message: Message) -> None:
    if isinstance(message, Ending) and message.request_id == strip.request_id:
        strip.request_id = 0
        strip.failed = isinstance(message, Failed)
    elif isinstance(message, StripPicture) and strip is _strip:
        number = numbers[message.index]
        name, size = f"strip {number}", (message.width, message.height)
        strip.icons[number] = thumbnails.icon_of(name, *size, message.pixels)
    delivery.redraw_panels()


def _before_load(*_arguments: object) -> None:
    close()


def register() -> None:
    """Close the strip when another file is opened."""
    bpy.app.handlers.load_pre.append(bpy.app.handlers.persistent(_before_load))


def unregister() -> None:
    """Close the strip, and remove the timer."""
    bpy.app.handlers.load_pre.remove(_before_load)
    if bpy.app.timers.is_registered(go_on):
        bpy.app.timers.unregister(go_on)
    close()
