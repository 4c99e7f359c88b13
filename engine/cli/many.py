# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``many``: a drag of one seed, applied to others, as far in each."""

from __future__ import annotations

import argparse
import io
import json
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from draggan_blender.protocol.atomic_files import write_atomically

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..models import LoadedModel, sample_latent
from ..output.frames import write_png
from ..output.render import render_image
from ..solving.drag import drag
from ..solving.options import DragOptions
from ..solving.same_end import Applied, SameEnd
from .output import Output

# The longest side of an image of the sheet, what is between them, and the room for a caption, px.
_SIDE, _GAP, _CAPTION = 192, 8, 20


def many(
    parsed: argparse.Namespace, model: LoadedModel, latent: FloatArray, output: Output
) -> None:
    """Drag an image, apply the change to other seeds, and write the images and a sheet of them.

    Args:
        parsed: The arguments.
        model: The model.
        latent: The latent of the image to drag, ``num_ws x w_dim``.
        output: Says what was written.

    Raises:
        RequestError: A point, seed or option is out of range, or the drag moves nothing.
        OSError: A file cannot be written.
    """
    generator = model.generator
    if any(pair[2][0] > 0 for pair in parsed.pairs):
        raise RequestError("--pair with a radius cannot be applied to other seeds; give points")
    handles, targets = (
        np.array([pair[side] for pair in parsed.pairs], dtype=np.float32) for side in (0, 1)
    )
    is_pin = (handles == targets).all(axis=1)
    if is_pin.all():
        raise RequestError("each pair has its target at its handle; move one of them")
    result = drag(generator, latent, handles, targets, DragOptions()).latents[-1]
    change = result - latent
    solver = SameEnd(generator, latent, change, handles[~is_pin], handles[is_pin])
    tiles = [(f"{parsed.seed}, dragged", render_image(generator, result))]
    rows = []
    (first, last), label = parsed.to, 0 if parsed.label is None else parsed.label
    for seed in range(first, last + 1):
        other = sample_latent(generator, seed, parsed.psi, label)
        found = solver.apply(other)
        if parsed.exact:
            found = solver.finish(other, found)
        moved = other + np.float32(found.strength) * change
        image = render_image(generator, moved if found.rest is None else moved + found.rest)
        write_png(parsed.out / f"seed_{seed:04}.png", image)
        tiles.append((f"{seed}: {found.strength:.2f}{'' if found.has_arrived else ' !'}", image))
        rows.append(_row(seed, found))
        output.note(f"seed {seed}: {found.strength:.2f}  {found.problem}".rstrip())
    write_atomically(parsed.out / "many.json", json.dumps(rows, indent=1).encode())
    write_atomically(parsed.out / "contact_sheet.png", sheet(tiles))
    arrived = sum(bool(row["arrived"]) for row in rows)
    output.note(f"{arrived} of {len(rows)} come to the same end; the images are in {parsed.out}")


def _row(seed: int, found: Applied) -> dict[str, object]:
    return {
        "seed": seed,
        "strength": round(found.strength, 4),
        "arrived": found.has_arrived,
        "left_px_of_128": round(found.left_px, 2),
        "aside_px_of_128": round(found.aside_px, 2),
        "problem": found.problem,
    }


def sheet(tiles: Sequence[tuple[str, ByteArray]]) -> bytes:
    """Return a contact sheet as a PNG: images with captions, about as many rows as columns.

    Args:
        tiles: For each its caption, and its image, ``H x W x C`` uint8; alpha is not drawn.
    """
    columns = math.ceil(math.sqrt(len(tiles)))
    height, width = tiles[0][1].shape[:2]
    scale = _SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    step = size[0] + _GAP, size[1] + _CAPTION
    lines = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * step[0] + _GAP, lines * step[1] + _GAP), (32, 32, 32))
    draw = ImageDraw.Draw(page)
    for number, (caption, image) in enumerate(tiles):
        line, column = divmod(number, columns)
        left, top = _GAP + column * step[0], line * step[1]
        draw.text((left, top + 2), caption, fill="white", font_size=14)
        picture = Image.fromarray(np.ascontiguousarray(image[..., :3]))
        page.paste(picture.resize(size, Image.Resampling.LANCZOS), (left, top + _CAPTION))
    encoded = io.BytesIO()
    page.save(encoded, format="PNG")
    return encoded.getvalue()
