# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the start and the result of each edit beside each other, for ``tools/demo.py``.

It is a process of its own because it uses the engine's packages, which must not be imported in
Blender's process. Run it from the repository's root: ``python -m tools.demo_picture FOLDER PICTURE
EDITS``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from engine.cli.sheet import HANDLE_COLOUR, TARGET_COLOUR

_SIDE_PX, _GAP_PX, _RADIUS_PX = 320, 8, 5
_BACKGROUND, _WHITE = (32, 32, 32), (255, 255, 255)


def main(folder: Path, picture: Path, edits: Sequence[dict[str, Any]]) -> None:
    """Draw the picture.

    Args:
        folder: Contains the sequence.
        picture: The PNG to write.
        edits: The last ``frame`` of each, and ``handle_uv``, ``target_uv`` and ``outline_uv``,
            (u, v) from the bottom left.
    """
    first = min(folder.glob("*.png"))
    tiles = [_tile(first, ())]
    for edit in edits:
        tiles.append(_tile(first.with_stem(f"{first.stem[:-4]}{edit['frame']:04d}"), (edit,)))
    step = _SIDE_PX + _GAP_PX
    sheet = Image.new("RGB", (len(tiles) * step + _GAP_PX, step + _GAP_PX), _BACKGROUND)
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (_GAP_PX + index * step, _GAP_PX))
    sheet.save(picture, optimize=True)


def _tile(path: Path, edits: Sequence[dict[str, Any]]) -> Image.Image:
    """Return an enlarged frame with the outlines and points of edits."""
    with Image.open(path) as image:
        tile = image.convert("RGB").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(tile)
    for edit in edits:
        outline = [_px(corner) for corner in edit["outline_uv"]]
        draw.line([*outline, outline[0]], fill=_WHITE, width=2)
        handle, target = _px(edit["handle_uv"]), _px(edit["target_uv"])
        draw.line([handle, target], fill=_WHITE, width=2)
        draw.circle(target, 1.6 * _RADIUS_PX, outline=TARGET_COLOUR, width=3)
        draw.circle(handle, _RADIUS_PX, fill=HANDLE_COLOUR, outline=_WHITE)
    return tile


def _px(place_uv: Sequence[float]) -> tuple[float, float]:
    u, v = place_uv
    return u * _SIDE_PX, (1.0 - v) * _SIDE_PX


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
