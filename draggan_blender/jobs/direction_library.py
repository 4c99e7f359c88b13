# SPDX-License-Identifier: GPL-3.0-or-later
"""The directions of each model that this person has named: a file for each model.

The file is in the extension's user folder, which updates keep, and is named by the hash of the
model. It has the directions that the engine has found in the model, and those that a person made
of drags, of differences of images, or imported; with their names, order, signs and layers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .. import preferences
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol import direction_files
from ..protocol.directions import Change, Direction
from ..scene import sliders

# As many characters of a model's SHA-256 as the name of its file has.
_CHARACTERS = 32

# The path of the file that was read last, its time and size, and what it has.
_read: tuple[tuple[Path, int, int], list[Direction]] | None = None


def path_of(plane: Plane) -> Path:
    """Return the file for the model of an image; it may not exist."""
    name = plane.draggan.model_sha256[:_CHARACTERS] or "unknown"
    return preferences.user_folder() / "directions" / f"{name}.npz"


def is_known(plane: Plane) -> bool:
    """Return whether there is a file for the model of an image."""
    return bool(plane.draggan.model_sha256) and path_of(plane).is_file()


def load(plane: Plane) -> list[Direction]:
    """Return the directions of an image's model; empty if there is no file.

    Raises:
        EditError: The file cannot be read.
    """
    global _read
    if not is_known(plane):
        return []
    path = path_of(plane)
    try:
        status = path.stat()
        stamp = (path, status.st_mtime_ns, status.st_size)
        if _read is None or _read[0] != stamp:
            found = direction_files.read(path, sliders.num_ws(plane), plane.draggan.w_dim)
            _read = stamp, found
    except (OSError, ValueError) as error:
        raise EditError(f"{error}; delete {path}, and press Find Directions") from None
    return list(_read[1])


def save(plane: Plane, directions: Sequence[Direction]) -> None:
    """Write the directions of an image's model.

    Raises:
        EditError: The file cannot be written.
    """
    try:
        direction_files.write(path_of(plane), directions)
    except OSError as error:
        raise EditError(f"The directions cannot be saved ({error})") from None


def merge(plane: Plane, found: Iterable[Direction]) -> None:
    """Add directions to those of an image's model; known ones keep their name, sign and place.

    Raises:
        EditError: The file cannot be read or written.
    """
    before = load(plane)
    known = {identity(one.change) for one in before}
    new = [one for one in found if identity(one.change) not in known]
    if new or not before:
        save(plane, [*before, *new])


def remember(plane: Plane) -> None:
    """Keep names, signs, layers and order of an image's sliders for all images of its model.

    Sliders of styles belong to the image alone.

    Raises:
        EditError: A slider or the file cannot be read, or the file cannot be written.
    """
    rows = [row for row in plane.draggan.sliders if row.kind == "DIRECTION"]
    shapes = (1, plane.draggan.w_dim), (sliders.num_ws(plane), plane.draggan.w_dim)
    mine = {}
    for row in rows:
        direction = sliders.direction_of(plane, row)
        if direction.change.shape not in shapes:
            continue  # of another model
        mine[identity(direction.change)] = direction
    known = load(plane)
    order = iter(mine.values())
    # Those of the list take the places of those that the file has of them, in the list's order.
    kept = [next(order) if identity(one.change) in mine else one for one in known]
    after = [*kept, *order]
    if [_facts(one) for one in after] != [_facts(one) for one in known]:
        save(plane, after)


def forget(plane: Plane, direction: Direction) -> None:
    """Remove a direction from those of an image's model.

    Raises:
        EditError: The file cannot be read or written.
    """
    gone = identity(direction.change)
    save(plane, [one for one in load(plane) if identity(one.change) != gone])


def identity(change: Change) -> bytes:
    """Return a digest that is the same for a direction and its opposite."""
    largest = change.flat[int(np.abs(change).argmax())]
    turned = change if largest > 0 else -change
    # Without negative zeros, which turning makes.
    return hashlib.blake2b((turned + np.float32(0)).tobytes(), digest_size=16).digest()


def _facts(direction: Direction) -> tuple[str, int, int, bytes]:
    return direction.name, direction.first, direction.last, direction.change.tobytes()
