# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of models and folders that are relative to the .blend, when it is saved elsewhere.

Blender does this with the paths of its own images. A path that begins with ``//`` keeps naming the
same file or folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..scene import planes

# What was changed for the save that is running: a plane's uuid, where the path is, and the path.
_before: list[tuple[str, str, str]] = []


def _owners(plane: Any) -> dict[str, tuple[Any, str]]:
    """Return the properties of a plane that hold a path."""
    return {"model": (plane.draggan.source, "path"), "folder": (plane.draggan, "folder")}


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
    for plane in planes.everywhere():
        for name, (owner, attribute) in _owners(plane).items():
            path = getattr(owner, attribute)
            changed = moved(path, old, new)
            if changed != path:
                _before.append((plane.draggan.uuid, name, path))
                setattr(owner, attribute, changed)


def _after_save(*arguments: Any) -> None:
    """Put the paths back if a copy was saved, or nothing: the open file is where it was."""
    target = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    if not target or Path(bpy.data.filepath) != Path(target):
        for uuid, name, path in _before:
            plane = planes.find(uuid)
            if plane is not None:
                owner, attribute = _owners(plane)[name]
                setattr(owner, attribute, path)
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
