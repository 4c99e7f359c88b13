# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of models, weights and folders that are relative to the .blend, when it is saved elsewhere.

Blender does this with the paths of its own images. A path that begins with ``//`` keeps naming the
same file or folder.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import bpy
from bpy.app.handlers import persistent

from ..scene import planes
from . import relinking


class _Place(NamedTuple):
    """A path as the open file stores it; Blender's objects are not kept between two calls.

    Attributes:
        is_scene: Whether a scene has it, and not an object.
        name: The name of the scene or object.
        owner: The path of the group in it, as Blender writes it.
        attribute: The name of the property.
        path: Its value.
    """

    is_scene: bool
    name: str
    owner: str
    attribute: str
    path: str

    def set_path(self, path: str) -> None:
        """Give the property another value, if it still exists."""
        owners: Any = bpy.data.scenes if self.is_scene else bpy.data.objects
        with contextlib.suppress(KeyError, ValueError):
            setattr(owners[self.name].path_resolve(self.owner), self.attribute, path)


# What was changed for the save that is running.
_before: list[_Place] = []


def _places() -> list[_Place]:
    """Return the paths that the open file stores, each once."""
    found: list[tuple[Any, str]] = [(use.owner, use.path_name) for use in relinking.uses()]
    for plane in planes.everywhere():
        found += [(plane.draggan.source, "path"), (plane.draggan, "folder")]
        found.append((plane.draggan.own, "loss_path"))
    scenes: Any = bpy.data.scenes
    found += [(scene.draggan.source, "path") for scene in scenes]
    # What is linked from another file is not saved in this one.
    own = ((owner, attribute) for owner, attribute in found if owner.id_data.library is None)
    return list(dict.fromkeys(_place(owner, attribute) for owner, attribute in own))


def _place(owner: Any, attribute: str) -> _Place:
    is_scene = isinstance(owner.id_data, bpy.types.Scene)
    path = getattr(owner, attribute)
    return _Place(is_scene, owner.id_data.name, owner.path_from_id(), attribute, path)


def moved(path: str, old: Path, new: Path) -> str:
    """Return a path that names from one folder what another one names from another folder.

    Args:
        path: A path; only one that begins with ``//`` changes.
        old: The folder that it is relative to.
        new: The folder that the result is relative to.

    Returns:
        A relative path, or an absolute one if no relative one leads there, from another drive.
    """
    if not path.startswith("//"):
        return path
    meant = os.path.normpath(old / path[2:].replace("\\", "/"))
    try:
        return "//" + os.path.relpath(meant, new).replace("\\", "/")
    except ValueError:
        return meant


def _before_save(*arguments: Any) -> None:
    _before.clear()
    target = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    if not bpy.data.filepath or not target:
        return
    old, new = Path(bpy.data.filepath).parent, Path(target).parent
    if old == new:
        return
    for place in _places():
        changed = moved(place.path, old, new)
        if changed != place.path:
            _before.append(place)
            place.set_path(changed)


def _after_save(*arguments: Any) -> None:
    """Put the paths back if a copy was saved, or nothing: the open file is where it was."""
    target = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    if not target or Path(bpy.data.filepath) != Path(target):
        for place in _before:
            place.set_path(place.path)
    _before.clear()


_HANDLERS = (
    ("save_pre", _before_save),
    ("save_post", _after_save),
    ("save_post_fail", _after_save),
)


def register() -> None:
    """Add the handlers to Blender's lists."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(persistent(handler))


def unregister() -> None:
    """Remove the handlers from Blender's lists."""
    for name, handler in reversed(_HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
    _before.clear()
