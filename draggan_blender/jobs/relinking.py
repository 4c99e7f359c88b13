# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that a .blend names and that are not where they were: found again, or asked for.

A file stores the path and the SHA-256 of the model of each image and of each state in its history.
When it is opened, a model that is missing is looked for by its hash in the person's library.
Otherwise the person chooses a file, which the engine compares with the hash.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..connection import pump
from ..errors import EditError
from ..library import entries
from ..properties.owners import Plane
from ..protocol.messages import Cancelled, Ending, Failed, LoadModel, Message
from ..scene import planes
from . import delivery, library, requests

# A path is looked at again after this time, and later if the disk is slow.
_PERIOD_S, _SHARE = 3.0, 0.005

# The stored path of a model -> when the next look is due, on the monotonic clock; is it missing?
_looks: dict[str, tuple[float, bool]] = {}


@dataclass(frozen=True)
class Use:
    """A place where a .blend names a model that is a file: the owner, and its attributes."""

    owner: object
    path_name: str
    sha256: str

    @property
    def path(self) -> str:
        return str(getattr(self.owner, self.path_name))

    def set_path(self, path: str) -> None:
        setattr(self.owner, self.path_name, path)


def is_missing(plane: Plane) -> bool:
    """Return whether the file of a plane's model is missing."""
    source = plane.draggan.source
    return source.kind == "FILE" and bool(source.path) and _is_gone(source.path)


def find_all() -> int:
    """Let each missing model that is in the library be used from there; return how many uses."""
    _looks.clear()
    found = 0
    for use in uses():
        entry = entries.with_hash(library.own(), use.sha256) if _is_gone(use.path) else None
        if entry is not None and entry.path.is_file():
            use.set_path(str(entry.path))
            found += 1
    return found


def relink(plane: Plane, path: Path) -> int:
    """Use a file in place of the plane's model, wherever this .blend names it.

    The engine loads the file, and compares its hash, before anything is changed.

    Args:
        plane: A GAN image.
        path: The file where the model is now.

    Returns:
        The request id.

    Raises:
        EditError: The plane is being worked on, its model is no file, or the engine cannot be
            started.
    """
    settings = plane.draggan
    requests.refuse_if_busy(plane)
    if settings.source.kind != "FILE":
        raise EditError("The model of this image is built in; it needs no file")
    request = LoadModel(
        request_id=pump.new_request_id(),
        model_path=str(path.absolute()),
        model_sha256=settings.model_sha256,
    )
    old = settings.source.path
    requests.give_to(request.request_id, partial(_take, settings.uuid, old, request))
    pump.submit(pump.Job(request=request, image_id=f"{settings.uuid} relink", label="Relink Model"))
    problem = requests.endings.get(request.request_id, "")
    if problem:
        raise EditError(problem)
    return request.request_id


def _take(image_id: str, old: str, request: LoadModel, message: Message) -> None:
    """Change the paths when the engine has found the file to be the right one."""
    if not isinstance(message, Ending):
        return
    plane, problem = planes.find(image_id), ""
    if isinstance(message, Failed):
        problem = message.message
    elif isinstance(message, Cancelled) or plane is None:
        problem = "Relink was cancelled"
    else:
        _replace(old, request.model_sha256, request.model_path)
    if plane is not None:
        plane.draggan.status = problem or f"The model is {Path(request.model_path).name}"
        plane.draggan.failed = isinstance(message, Failed)
    requests.endings[request.request_id] = problem
    if not problem:
        delivery.push_undo("Relink Model")
    delivery.redraw_panels()


def _replace(old: str, sha256: str, path: str) -> None:
    """Replace a path where it names the model of a hash, or a model whose hash is not known."""
    for use in uses():
        if (use.sha256 == sha256 and bool(sha256)) or (use.path == old and not use.sha256):
            use.set_path(path)
    _looks.clear()


def uses() -> Iterator[Use]:
    """Yield the places where the open file names models that are files."""
    for plane in planes.everywhere():
        settings = plane.draggan
        if settings.source.kind == "FILE" and settings.source.path:
            yield Use(settings.source, "path", settings.model_sha256)
        yield from _uses_of_picture(settings.own)
        for state in settings.history.states:
            if state.model_kind == "FILE" and state.model_path:
                yield Use(state, "model_path", state.model_sha256)
            yield from _uses_of_picture(state.own)
    scenes: Any = bpy.data.scenes
    for scene in scenes:
        source = scene.draggan.source
        if source.kind == "FILE" and source.path:
            yield Use(source, "path", "")


def _uses_of_picture(own: Any) -> Iterator[Use]:
    """Yield the models of a picture, before and after tuning."""
    if own.untuned_kind == "FILE" and own.untuned_path:
        yield Use(own, "untuned_path", own.untuned_sha256)
    if own.tuned_path:
        yield Use(own, "tuned_path", own.tuned_sha256)


def _is_gone(stored: str) -> bool:
    """Return whether there is no file at a stored path."""
    due_s, gone = _looks.get(stored, (0.0, False))
    begun_s = time.monotonic()
    if begun_s >= due_s:
        gone = not Path(bpy.path.abspath(stored)).is_file()
        took_s = time.monotonic() - begun_s
        _looks[stored] = time.monotonic() + max(_PERIOD_S, took_s / _SHARE), gone
    return gone


def _after_load(*_arguments: object) -> None:
    find_all()


def register() -> None:
    """Look for missing models when a file was opened."""
    bpy.app.handlers.load_post.append(persistent(_after_load))


def unregister() -> None:
    """Remove the handler."""
    bpy.app.handlers.load_post.remove(_after_load)
    _looks.clear()
