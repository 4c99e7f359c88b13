# SPDX-License-Identifier: GPL-3.0-or-later
"""The person's models: listing, adding, picking and removing them.

A model is added by the engine, which checks and converts it while Blender goes on; what it found is
written here. From a script::

    from bl_ext.user_default.draggan_blender.draggan_blender.jobs import library, requests
    for request_id in library.add([Path("ffhq.pkl")]):
        requests.wait(request_id)
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import preferences
from ..connection import pump
from ..errors import EditError
from ..library import entries
from ..library.entries import Entry
from ..properties.owners import Plane
from ..protocol.library import AddModel, ModelAdded
from ..protocol.messages import Cancelled, Ending, Failed, Message
from ..scene import models, thumbnails
from . import delivery, image, recovery, requests, seed_sheet


@dataclass(frozen=True)
class Adding:
    """A file that is being added.

    Attributes:
        source: The file.
        fraction: How much is done, 0 to 1.
        text: What is being done.
    """

    source: Path
    fraction: float = 0.0
    text: str = "Waiting for the engine"


# Request id -> the file that it adds.
_adding: dict[int, Path] = {}
# What went wrong when models were added last, a sentence each.
_problems: list[str] = []
# The models, with the time at which the folder was changed last when they were read.
_kept: tuple[int, list[Entry]] | None = None
_built_in: Entry | None = None


def own() -> list[Entry]:
    """Return the person's models, by name."""
    global _kept
    try:
        stamp = preferences.models_folder().stat().st_mtime_ns
    except OSError:
        stamp = 0
    if _kept is None or _kept[0] != stamp:
        _kept = stamp, entries.read_all(preferences.models_folder())
    return _kept[1]


def everything() -> list[Entry]:
    """Return the built-in model and the person's models."""
    global _built_in
    if _built_in is None:
        _built_in = entries.read(models.built_in_path())
    return own() if _built_in is None else [_built_in, *own()]


def is_built_in(entry: Entry) -> bool:
    """Return whether a model came with the extension."""
    return entry.path == models.built_in_path()


def find(name: str) -> Entry:
    """Return the model of a name.

    Raises:
        EditError: No model has this name.
    """
    found = next((entry for entry in everything() if entry.name == name), None)
    if found is None:
        raise EditError(f"There is no model called {name}; choose one in the Models panel")
    return found


def shown(source: Any) -> Entry | None:
    """Return the model that a ``DRAGGAN_PG_source`` names, or None if it is not in the library."""
    if source.kind == "FILE" and not source.path:
        return None
    try:
        path = Path(models.model_path(source))
    except EditError:
        return None  # an address: whoever uses it is told
    return next((entry for entry in everything() if entry.path == path), None)


def pick(plane: Plane | None, entry: Entry) -> int | None:
    """Make the image of the plane's seed with another model, or choose it for the next image.

    Args:
        plane: The GAN image; its edits stay in its history. None for the next image.
        entry: The model.

    Returns:
        The request id; None if there is no plane.

    Raises:
        EditError: The plane is being worked on, or the engine cannot be started.
    """
    seed_sheet.close()
    if plane is None:
        _choose(bpy.context.scene.draggan.source, entry)
        return None
    recovery.own(plane)
    requests.refuse_if_busy(plane)
    source = plane.draggan.source
    before = source.kind, source.path
    _choose(source, entry)
    try:
        return image.sample(plane)
    except EditError:
        source.kind, source.path = before
        raise


def _choose(source: Any, entry: Entry) -> None:
    built_in = is_built_in(entry)
    source.kind = "BUILT_IN" if built_in else "FILE"
    source.path = "" if built_in else str(entry.path)


def add(sources: Iterable[Path]) -> list[int]:
    """Ask the engine to add files; returns at once.

    Args:
        sources: The files; they stay as they are.

    Returns:
        The request ids. ``problems`` says what went wrong.

    Raises:
        EditError: No file was given, one of them is in the library, or the engine cannot start.
    """
    chosen = list(dict.fromkeys(source.absolute() for source in sources))
    if not chosen:
        raise EditError("No file was chosen; choose one or more files with a model")
    inside = next(
        (source for source in chosen if source.parent == preferences.models_folder()), None
    )
    if inside is not None:
        raise EditError(f"{inside.name} is one of your models already; choose another file")
    _problems.clear()
    started = [_submit(source) for source in chosen if source not in _adding.values()]
    problem = next((requests.endings[item] for item in started if requests.endings.get(item)), "")
    if problem:
        _problems.clear()
        raise EditError(problem)
    return started


def _submit(source: Path) -> int:
    request = AddModel(
        request_id=pump.new_request_id(),
        source_path=str(source),
        folder=str(preferences.models_folder()),
        size_px=thumbnails.SIZE_PX,
    )
    _adding[request.request_id] = source
    requests.give_to(request.request_id, partial(_take, request.request_id))
    label = f"Add {source.name}"
    pump.submit(pump.Job(request=request, image_id=requests.LIBRARY_ID, label=label))
    return request.request_id


def adding() -> list[Adding]:
    """Return the files that are being added, the one that the engine works on first."""
    state = pump.state()
    active = 0 if state.active is None else state.active.request.request_id
    found: list[Adding] = []
    for request_id, source in _adding.items():
        if request_id == active:
            found.insert(0, Adding(source, state.fraction, state.text or "Reading"))
        else:
            found.append(Adding(source))
    return found


def problems() -> list[str]:
    """Return what went wrong when models were added last, a sentence each."""
    return list(_problems)


def cancel() -> None:
    """Cancel what is being added, and forget what went wrong."""
    pump.cancel_job(requests.LIBRARY_ID)
    _problems.clear()


def change(entry: Entry, name: str, note: str) -> None:
    """Change the name and the licence note of one of the person's models.

    Raises:
        EditError: The name is empty or taken, or the change cannot be stored.
    """
    _require_own(entry)
    name = name.strip()
    if not name:
        raise EditError("The name is empty; write the model's name")
    if any(other.name == name and other != entry for other in everything()):
        raise EditError(f"Another model is called {name}; write another name")
    try:
        entries.write(replace(entry, name=name, note=note.strip()))
    except OSError as error:
        raise EditError(f"The model cannot be changed ({error}); check the folder") from None
    _look_again()


def remove(entry: Entry) -> None:
    """Delete one of the person's models; the file that it was made from stays.

    Raises:
        EditError: It cannot be deleted.
    """
    _require_own(entry)
    try:
        entries.remove(entry)
    except OSError as error:
        raise EditError(
            f"{entry.name} cannot be deleted ({error.strerror}); if the engine uses it, press "
            "Stop Engine, and try again"
        ) from None
    _look_again()


def _require_own(entry: Entry) -> None:
    if is_built_in(entry):
        raise EditError(f"{entry.name} belongs to the extension, so it stays as it is")


def _take(request_id: int, message: Message) -> None:
    """Store what the engine found out about a file that is added."""
    if isinstance(message, ModelAdded):
        try:
            _store(message, _adding[request_id])
        except OSError as error:
            _problems.append(f"{_adding[request_id].name} cannot be described: {error}")
    if not isinstance(message, Ending):
        return
    source, problem = _adding.pop(request_id), ""
    if isinstance(message, Failed):
        problem = message.message
        _problems.append(problem)
    elif isinstance(message, Cancelled):
        problem = f"Adding {source.name} was cancelled"
    requests.endings[request_id] = problem
    delivery.redraw_panels()


def _store(added: ModelAdded, source: Path) -> None:
    """Describe a new file; of two equal files in the library, the one that was there stays.

    Raises:
        OSError: The description cannot be written.
    """
    path, present = Path(added.path), own()
    same = next((entry for entry in present if entry.sha256 == added.sha256), None)
    if same is not None:
        if same.path != path:
            path.unlink(missing_ok=True)
        return
    pixels = np.frombuffer(added.pixels, np.float32)
    pixels = pixels.reshape(added.thumbnail_height, added.thumbnail_width, 4)
    entries.write(
        Entry(
            path=path,
            name=entries.free_name(everything(), source.stem),
            sha256=added.sha256,
            source_sha256=added.source_sha256,
            origin=str(source),
            added=datetime.date.today().isoformat(),
            width=added.width,
            height=added.height,
            labels=added.c_dim,
            note=added.license_note,
            thumbnail=thumbnails.of_pixels(pixels),
        )
    )
    _look_again()


def _look_again() -> None:
    """Read the folder at the next look, even if its time is too coarse to show the change."""
    global _kept
    _kept = None


def register() -> None:
    """Nothing is needed: the folder is read when a panel asks for it."""


def unregister() -> None:
    """Forget what was read and what is being added."""
    global _kept, _built_in
    _adding.clear()
    _problems.clear()
    _kept = _built_in = None
