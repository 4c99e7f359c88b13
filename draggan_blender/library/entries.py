# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of a library: what is stored of each, and finding, changing and removing them.

Each model is a ``.safetensors`` file, and a ``.json`` file of the same name that describes it.
There is no list of all models, so two Blenders that add models at once do not disturb each other.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..protocol.atomic_files import write_atomically
from ..protocol.plain_files import read_plain_file

# The version of the layout of the descriptions.
_VERSION = 1
_SUFFIX = ".json"
# A description has some 10 KB, nearly all of it the thumbnail.
_MOST_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model.

    Attributes:
        path: The file of the model.
        name: Its name for the person.
        sha256: The SHA-256 of the file, in lower-case hexadecimal.
        source_sha256: That of the file that it was converted from; empty if it was not.
        origin: Where that file was.
        added: The date on which it was added, as ``2026-11-29``; empty for a built-in model.
        width: The width of its images, in pixels.
        height: Their height.
        labels: How many numbers the label of an image has; 0 for a model without labels.
        note: The person's note about its licence; at first what the file says about it.
        thumbnail: A small image, as ``scene.thumbnails`` stores it.
    """

    path: Path
    name: str
    sha256: str
    source_sha256: str = ""
    origin: str = ""
    added: str = ""
    width: int = 0
    height: int = 0
    labels: int = 0
    note: str = ""
    thumbnail: str = ""

    @property
    def description_path(self) -> Path:
        """The file that describes the model."""
        return self.path.with_suffix(_SUFFIX)

    @property
    def size_bytes(self) -> int:
        """The size of the model's file; 0 if it is missing."""
        with contextlib.suppress(OSError):
            return self.path.stat().st_size
        return 0

    def has(self, sha256: str) -> bool:
        """Return whether an image that was made with a file of this hash was made with this model.

        Args:
            sha256: In hexadecimal of either case; never fits if it is empty.
        """
        return bool(sha256) and sha256.lower() in (self.sha256, self.source_sha256)


def read(path: Path) -> Entry | None:
    """Return the model of a file, or None if it has no description that can be read.

    Args:
        path: The file of the model.
    """
    try:
        data = read_plain_file(path.with_suffix(_SUFFIX), _MOST_BYTES)
        found = json.loads(data.decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        return None
    defaults = {field.name: field.type for field in fields(Entry) if field.name != "path"}
    values: dict[str, Any] = {}
    for name, kind in defaults.items():
        value = found.get(name, 0 if kind == "int" else "")
        if type(value).__name__ != kind or not _can_be_shown(value):
            return None
        values[name] = value
    return Entry(path=path, **values) if values["name"] and values["sha256"] else None


def _can_be_shown(value: str | int) -> bool:
    """Return whether Blender can store a value; JSON has larger numbers, and half characters."""
    if isinstance(value, int):
        return 0 <= value < 1 << 31
    return not any("\ud800" <= character <= "\udfff" for character in value)


def write(entry: Entry) -> None:
    """Write the description of a model.

    Raises:
        OSError: It cannot be written; the one before stays.
    """
    values = {name: value for name, value in asdict(entry).items() if name != "path"}
    text = json.dumps({"version": _VERSION, **values}, indent=1, ensure_ascii=False)
    write_atomically(entry.description_path, text.encode())


def read_all(folder: Path) -> list[Entry]:
    """Return the models in a folder, by name; empty if there is no such folder."""
    try:
        paths = sorted(folder.glob("*.safetensors"))
    except OSError:
        return []
    found = [entry for entry in map(read, paths) if entry is not None]
    return sorted(found, key=lambda entry: (entry.name.lower(), entry.path.name))


def with_hash(entries: Iterable[Entry], sha256: str) -> Entry | None:
    """Return the model that images with a model's hash were made with, or None."""
    return next((entry for entry in entries if entry.has(sha256)), None)


def free_name(entries: Iterable[Entry], name: str) -> str:
    """Return a name that no model has: the given one, or with a number, as Blender does it."""
    taken, number, found = {entry.name for entry in entries}, 1, name
    while found in taken:
        found, number = f"{name}.{number:03d}", number + 1
    return found


def remove(entry: Entry) -> None:
    """Remove a model's file and its description.

    Raises:
        OSError: The file cannot be removed; the model stays.
    """
    entry.path.unlink(missing_ok=True)
    entry.description_path.unlink(missing_ok=True)
