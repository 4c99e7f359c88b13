# SPDX-License-Identifier: GPL-3.0-or-later
"""A contact sheet: small images of consecutive seeds to choose from.

There is one sheet in a session of Blender, for one image, or for the next image while none is
active. Its images are not stored in the .blend. A request of a person cancels the sheet's;
``go_on`` asks for the rest when the engine is idle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.explore import SampleSheet, SeedThumbnail
from ..protocol.messages import Ending, Failed, Message
from ..scene import models, planes, thumbnails
from . import delivery, requests

# How many seeds a sheet shows.
COUNT = 16
# The largest first seed: Blender's integers end at 2**31 - 1.
LAST_FIRST = 2**31 - COUNT


@dataclass
class _Sheet:
    """The open sheet: what it shows, and which of its seeds have arrived.

    Its image id is empty if it is for the next image.
    """

    image_id: str
    first: int
    truncation_psi: float
    label: int
    icons: dict[int, int] = field(default_factory=dict)
    request_id: int = 0
    failed: bool = False


_sheet: _Sheet | None = None


def show(plane: Plane | None, first: int) -> None:
    """Show the seeds from ``first`` on, with the plane's model and truncation.

    Args:
        plane: The GAN image, or None for those that the next image will have.
        first: The first seed.

    Raises:
        EditError: The model is not usable.
    """
    global _sheet
    source = _source(plane)
    models.model_path(source)
    close()
    first = max(0, min(first, LAST_FIRST))
    _sheet = _Sheet(_id_of(plane), first, source.truncation_psi, source.label)
    go_on()


def first_of_page(page: str, seed: int, shown: int | None) -> int:
    """Return the first seed of another page of a sheet.

    Args:
        page: "HERE" for the page with the image's seed, "NEXT" or "PREVIOUS".
        seed: The image's seed.
        shown: The first seed that is shown now; None for no sheet.
    """
    if shown is None or page == "HERE":
        return seed // COUNT * COUNT
    return shown + (COUNT if page == "NEXT" else -COUNT)


def first_of(plane: Plane | None) -> int | None:
    """Return the first seed of the plane's sheet, or None if no sheet is open for it."""
    return _sheet.first if _sheet is not None and _sheet.image_id == _id_of(plane) else None


def icons(plane: Plane | None) -> list[tuple[int, int]]:
    """Return the seeds of the plane's sheet with their icons; a seed to come has a grey one."""
    first = first_of(plane)
    if _sheet is None or first is None:
        return []
    if len(_sheet.icons) < COUNT:
        grey = thumbnails.icon_to_come()
        return [(seed, _sheet.icons.get(seed, grey)) for seed in range(first, first + COUNT)]
    return sorted(_sheet.icons.items())


def close() -> None:
    """Close the sheet, and cancel its request."""
    global _sheet
    if _sheet is not None and _sheet.request_id:
        pump.cancel_job(requests.explore_id(_sheet.image_id))
    _sheet = None


def go_on() -> bool:
    """Ask for the seeds that are missing, if the engine is idle; return whether any are missing."""
    sheet = _sheet
    if sheet is None or sheet.failed or len(sheet.icons) == COUNT:
        return False
    plane = planes.find(sheet.image_id) if sheet.image_id else None
    if plane is None and sheet.image_id:
        close()
        return False
    if sheet.request_id or pump.state().active is not None:
        return True
    try:
        path = models.model_path(_source(plane))
    except EditError:
        sheet.failed = True
        return False
    seeds = range(sheet.first, sheet.first + COUNT)
    request = SampleSheet(
        request_id=pump.new_request_id(),
        model_path=path,
        seeds=tuple(seed for seed in seeds if seed not in sheet.icons),
        truncation_psi=sheet.truncation_psi,
        label=sheet.label,
        size_px=thumbnails.SIZE_PX,
    )
    sheet.request_id = request.request_id
    requests.give_to(request.request_id, lambda message: _take(sheet, message))
    job_id = requests.explore_id(sheet.image_id)
    pump.submit(pump.Job(request=request, image_id=job_id, label="Contact Sheet"))
    return True


def _id_of(plane: Plane | None) -> str:
    return "" if plane is None else str(plane.draggan.uuid)


def _source(plane: Plane | None) -> Any:
    return (bpy.context.scene if plane is None else plane).draggan.source


def _take(sheet: _Sheet, message: Message) -> None:
    if isinstance(message, Ending) and message.request_id == sheet.request_id:
        sheet.request_id = 0
        sheet.failed = isinstance(message, Failed)
    elif isinstance(message, SeedThumbnail) and sheet is _sheet:
        name, size = f"seed {message.seed}", (message.width, message.height)
        sheet.icons[message.seed] = thumbnails.icon_of(name, *size, message.pixels)
    delivery.redraw_panels()
