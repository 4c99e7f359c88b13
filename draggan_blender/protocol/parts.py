# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that ask for the parts of a picture, and the tree that they are sent as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .errors import require
from .messages import Event, Message, ModelRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class FindParts(ModelRequest):
    """Find the parts of a picture; the answer is ``PartsFound``.

    Attributes:
        latent: The latent of the picture.
    """

    kind: ClassVar[str] = "find_parts"
    latent: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsFound(Event):
    """The parts of a picture as a binary tree of areas, the merge tree of a clustering.

    The picture is divided into ``rows x columns`` cells, row by row from the top left. Nodes 0 to
    ``rows * columns - 1`` are these cells. Each later node joins two nodes with smaller numbers,
    which touch each other; the last node is the whole picture.

    Attributes:
        rows: The number of rows of cells.
        columns: The number of cells in a row.
        parents: int32, little-endian, for each of the ``2 rows columns - 1`` nodes the node that it
            is joined into; -1 for the last one.
        heights: float32, little-endian, for each node that is not a cell how different the two
            joined nodes are; never smaller than for a node below it.
    """

    kind: ClassVar[str] = "parts_found"
    rows: int
    columns: int
    parents: bytes
    heights: bytes

    def __post_init__(self) -> None:
        cells = self.rows * self.columns
        require(min(self.rows, self.columns) > 0, "rows and columns must be positive")
        expected = 4 * (2 * cells - 1), 4 * (cells - 1)
        found = len(self.parents), len(self.heights)
        require(found == expected, f"parents and heights must have {expected} bytes, not {found}")


PART_MESSAGES: tuple[type[Message], ...] = (FindParts, PartsFound)
