# SPDX-License-Identifier: GPL-3.0-or-later
"""The contact sheet of *Apply to Many*: a slider at its strength in each of some seeds.

There is one in a session of Blender, for one slider of one image. It is not stored in the .blend,
and shows the slider as it was when the sheet was asked for. A request of a person cancels the
sheet's; ``go_on`` asks for the rest when the engine is idle.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import bpy

from ..connection import pump
from ..properties.owners import Plane
from ..protocol.many import AppliedToOne
from ..protocol.messages import Ending, Failed, Message
from ..scene import planes, thumbnails
from ..scene.free_place import Place
from . import delivery, many, many_seeds, requests, seed_sheet

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

    asked: many_seeds.Asked
    first: int
    tiles: dict[int, Tile] = field(default_factory=dict)
    request_id: int = 0
    failed: bool = False

    @property
    def image_id(self) -> str:
        """The uuid of the image of the slider."""
        return self.asked.slider.image_id


_sheet: _Sheet | None = None


def show(plane: Plane, index: int, first: int) -> None:
    """Show a slider of an image in the seeds from ``first`` on.

    Raises:
        EditError: No model was chosen, or the slider was not kept from a drag.
    """
    global _sheet
    first = max(0, min(first, seed_sheet.LAST_FIRST))
    # Asked for once, so that all of the sheet shows the slider at the same strength.
    asked = many_seeds.ask(plane, index, range(first, first + seed_sheet.COUNT))
    close()
    _sheet = _Sheet(asked, first)
    if not bpy.app.timers.is_registered(go_on):
        bpy.app.timers.register(go_on, first_interval=0.0, persistent=True)


def first_of(plane: Plane, index: int) -> int | None:
    """Return the first seed of the sheet of a slider, or None if none is open for it."""
    rows = plane.draggan.sliders
    if _sheet is None or not 0 <= index < len(rows):
        return None
    slider = _sheet.asked.slider
    is_mine = (slider.image_id, slider.key) == (plane.draggan.uuid, rows[index].key)
    return _sheet.first if is_mine else None


def tiles_of(plane: Plane, index: int) -> list[Tile]:
    """Return the images of the sheet of a slider; empty if none is open for it."""
    first = first_of(plane, index)
    if _sheet is None or first is None:
        return []
    grey = thumbnails.icon_to_come()
    seeds = range(first, first + seed_sheet.COUNT)
    return [_sheet.tiles.get(seed, Tile(seed, grey)) for seed in seeds]


def pick(plane: Plane, index: int, seed: int, place: Place) -> int:
    """Make a new image of a seed: as the sheet of the slider shows it, or of the slider as it is.

    Returns:
        The id of the request that ends last.

    Raises:
        EditError: See ``many_seeds.ask`` and ``many_seeds.to_seed``.
    """
    is_open = _sheet is not None and first_of(plane, index) is not None
    asked = _sheet.asked if _sheet is not None and is_open else None
    asked = asked or many_seeds.ask(plane, index, [seed])
    return many_seeds.to_seed(plane, asked, seed, place)


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
    if sheet.asked.slider.find() is None:
        close()
        return None
    if not sheet.request_id and pump.state().active is None:
        _ask(sheet)
    return _PERIOD_S


def _ask(sheet: _Sheet) -> None:
    whole = sheet.asked.request
    missing = tuple(seed for seed in whole.seeds if seed not in sheet.tiles)
    request = replace(whole, request_id=pump.new_request_id(), seeds=missing)
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
        seed = seeds[message.index]
        name, size = f"applied {seed}", (message.width, message.height)
        icon = thumbnails.icon_of(name, *size, message.pixels)
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
    many.forget()
