# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the pictures of a run: all drags with all results, or the worst ones of each row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from draggan_blender.protocol.atomic_files import replacing
from engine.arrays import ByteArray

from ..results import ResultStore
from ..rows import Row
from .drags import LocalDrag
from .kept import load_end
from .pictures import Line, badness, caption_of, sheet
from .plan import Plan
from .tables import SETTINGS

# Width of a picture on a sheet of all drags, and on one of the worst.
_SMALL_PX, _LARGE_PX = 128, 192
_QUALITY = 88


def save_sheet(plan: Plan, store: ResultStore, path: Path) -> None:
    """Write a picture of all drags with the results of all rows and settings.

    Args:
        plan: What was measured.
        store: Its results.
        path: The file; its name ends with ``.jpg`` or ``.png``.
    """
    columns = [(row, setting) for row in plan.rows if row.is_edit for setting in plan.settings]
    headings = [_heading(row, setting) for row, setting in columns]
    lines = [_line(plan, store, drag, columns) for drag in plan.drags]
    _save(sheet(headings, lines, cell_px=_SMALL_PX, beside=2), path)


def save_worst(plan: Plan, store: ResultStore, count: int) -> list[Path]:
    """Write a picture of the worst drags of each row and setting into the folder of the results.

    Args:
        plan: What was measured.
        store: Its results.
        count: The number of drags on a picture.

    Returns:
        The files.
    """
    written = []
    for row in plan.rows:
        for setting in plan.settings:
            drags = [drag for drag in plan.drags if plan.key(drag, setting, row) in store]
            if not row.is_edit or not drags:
                continue
            drags.sort(key=lambda drag: -badness(store[plan.key(drag, setting, row)]))
            columns = [(row, setting)]
            lines = [_line(plan, store, drag, columns) for drag in drags[:count]]
            name = "".join(c if c.isalnum() else "_" for c in row.name)
            path = plan.out / f"worst_{plan.name}_{name}_{setting}.png"
            picture = sheet([_heading(row, setting)], lines, cell_px=_LARGE_PX, beside=2)
            _save(picture, path)
            print(f"the {len(lines)} worst of {row.name}, {SETTINGS[setting]}: {path}")
            written.append(path)
    return written


def _heading(row: Row, setting: str) -> str:
    return f"{row.name}, {'mask' if setting == 'mask' else 'no mask'}"


def _line(
    plan: Plan, store: ResultStore, drag: LocalDrag, columns: Sequence[tuple[Row, str]]
) -> Line:
    start = np.full((*drag.mask.shape, 3), 225, dtype=np.uint8)
    ends: list[tuple[str, ByteArray] | None] = []
    for row, setting in columns:
        key = plan.key(drag, setting, row)
        kept = load_end(plan.kept(drag, setting, row)) if key in store else None
        if kept is not None:
            start = kept.before
        ends.append(None if kept is None else (caption_of(store[key]), kept.after))
    return Line(drag.scaled(start.shape[1]), start, ends)


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    with replacing(path) as temporary:
        if is_jpeg:
            picture.save(temporary, format="JPEG", quality=_QUALITY, optimize=True)
        else:
            picture.save(temporary, format="PNG", optimize=True)
