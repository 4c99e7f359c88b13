# SPDX-License-Identifier: GPL-3.0-or-later
"""The contact sheet of *Apply to Many*: a slider at its strength in each of some seeds.

There is one in a session of Blender, for one slider of one image. It is not stored in the .blend,
and shows the slider as it was when the sheet was asked for. A request of a person cancels the
sheet's; ``go_on`` asks for the rest when the engine is idle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy
import numpy as np

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.many import AppliedToOne
from ..protocol.messages import Ending, Failed, Message
from ..scene import kept_drags, planes, thumbnails
from . import delivery, many, requests, seed_sheet

# Time between two looks.
_PERIOD_S = 0.05


@dataclass(frozen=True)
class Tile:
    """One image of the sheet.

    Attributes:
        seed: Its seed.
        icon: Its icon; a grey one while it is to come.
        strength: The strength in it; None while it is to come.
        problem: Why it has not come to the same end; empty if it has.
    """

    seed: int
    icon: int
    strength: float | None = None
    problem: str = ""


@dataclass
class _Sheet:
    """The open sheet: what it shows, and which of its seeds have arrived."""

    image_id: str
    key: int
    first: int
    tiles: dict[int, Tile] = field(default_factory=dict)
    request_id: int = 0
    failed: bool = False


_sheet: _Sheet | None = None


def show(plane: Plane, index: int, first: int) -> None:
    """Show a slider of an image in the seeds from ``first`` on.

    Raises:
        EditError: The slider was not kept from a drag.
    """
    global _sheet
    row = plane.draggan.sliders[index]
    kept_drags.read(row)
    close()
    first = max(0, min(first, seed_sheet.LAST_FIRST))
    _sheet = _Sheet(plane.draggan.uuid, row.key, first)
    if not bpy.app.timers.is_registered(go_on):
        bpy.app.timers.register(go_on, first_interval=0.0, persistent=True)


def first_of(plane: Plane, index: int) -> int | None:
    """Return the first seed of the sheet of a slider, or None if none is open for it."""
    rows = plane.draggan.sliders
    if _sheet is None or not 0 <= index < len(rows):
        return None
    is_mine = (_sheet.image_id, _sheet.key) == (plane.draggan.uuid, rows[index].key)
    return _sheet.first if is_mine else None


def tiles_of(plane: Plane, index: int) -> list[Tile]:
    """Return the images of the sheet of a slider; empty if none is open for it."""
    first = first_of(plane, index)
    if _sheet is None or first is None:
        return []
    grey = thumbnails.make_icon("seed to come", np.full((8, 8, 4), 0.25, dtype=np.float32))
    seeds = range(first, first + seed_sheet.COUNT)
    return [_sheet.tiles.get(seed, Tile(seed, grey)) for seed in seeds]


def close() -> None:
    """Close the sheet, and cancel its request."""
    global _sheet
    if _sheet is not None and _sheet.request_id:
        pump.cancel_job(requests.explore_id(_sheet.image_id))
    _sheet = None


def go_on() -> float | None:
    """Ask for the seeds that are missing, if the engine is idle; called by a timer.

    Returns:
        The seconds to the next call, or None if there is nothing more to do.
    """
    sheet = _sheet
    if sheet is None or sheet.failed or len(sheet.tiles) == seed_sheet.COUNT:
        return None
    plane = planes.find(sheet.image_id)
    rows = () if plane is None else plane.draggan.sliders
    index = next((n for n, row in enumerate(rows) if row.key == sheet.key), -1)
    if plane is None or index < 0:
        close()
        return None
    if sheet.request_id or pump.state().active is not None:
        return _PERIOD_S
    try:
        _ask(plane, index, sheet)
    except EditError as error:
        plane.draggan.status, plane.draggan.failed = str(error), True
        sheet.failed = True
    return _PERIOD_S


def _ask(plane: Plane, index: int, sheet: _Sheet) -> None:
    source = plane.draggan.source
    seeds = range(sheet.first, sheet.first + seed_sheet.COUNT)
    missing = tuple(seed for seed in seeds if seed not in sheet.tiles)
    request = many.make_request(
        plane,
        index,
        seeds=missing,
        truncation_psi=source.truncation_psi,
        label=source.label,
    )
    sheet.request_id = request.request_id
    requests.give_to(request.request_id, lambda message: _take(sheet, missing, message))
    job_id = requests.explore_id(sheet.image_id)
    pump.submit(pump.Job(request=request, image_id=job_id, label="Apply to Many"))


def _take(sheet: _Sheet, seeds: tuple[int, ...], message: Message) -> None:
    if isinstance(message, Ending) and message.request_id == sheet.request_id:
        sheet.request_id = 0
        sheet.failed = isinstance(message, Failed)
        plane = planes.find(sheet.image_id)
        if isinstance(message, Failed) and plane is not None:
            plane.draggan.status, plane.draggan.failed = message.message, True
    elif isinstance(message, AppliedToOne) and sheet is _sheet:
        pixels = np.frombuffer(message.pixels, np.float32)
        pixels = pixels.reshape(message.height, message.width, 4)
        seed = seeds[message.index]
        icon = thumbnails.make_icon(f"applied {seed}", pixels)
        sheet.tiles[seed] = Tile(seed, icon, message.strength, message.problem)
    delivery.redraw_panels()


def _before_load(*_arguments: object) -> None:
    close()


def register() -> None:
    """Close the sheet when another file is opened."""
    bpy.app.handlers.load_pre.append(bpy.app.handlers.persistent(_before_load))


def unregister() -> None:
    """Close the sheet, and remove the timer."""
    bpy.app.handlers.load_pre.remove(_before_load)
    if bpy.app.timers.is_registered(go_on):
        bpy.app.timers.unregister(go_on)
    close()
