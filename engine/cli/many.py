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
from ..latent_files import latent_from_file
from ..models import LoadedModel, sample_latent
from ..output.frames import write_image
from ..output.render import render_image
from ..solving.drag import drag
from ..solving.options import DragOptions
from ..solving.same_end import Applied, SameEnd
from .ending import drag_ended, note_flat, note_result
from .interrupt import interrupt_stops
from .output import Output
from .sampled import label_of

# The longest side of an image of the sheet, what is between them, and the room for a caption, px.
_SIDE, _GAP, _CAPTION = 192, 8, 20


def many(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> int:
    """Drag an image, apply the change to other seeds, and write the images and a sheet of them.

    Args:
        parsed: The arguments.
        model: The model.
        output: Says what became of the drag, and what was written.

    Returns:
        The exit code, as of ``ending.drag_ended``. After Ctrl-C during the drag, nothing is
        written.

    Raises:
        RequestError: A point, seed, label or option is out of range, or the drag moves nothing.
        OSError: A file cannot be written.
    """
    generator, label = model.generator, label_of(parsed, model, output)
    latent, name = _dragged(parsed, model, label)
    if any(pair[2][0] > 0 for pair in parsed.pairs):
        raise RequestError("--pair with a radius cannot be applied to other seeds; give points")
    handles, targets = (
        np.array([pair[side] for pair in parsed.pairs], dtype=np.float32) for side in (0, 1)
    )
    is_pin = (handles == targets).all(axis=1)
    if is_pin.all():
        raise RequestError("each pair has its target at its handle; move one of them")
    with interrupt_stops() as was_interrupted:
        result = drag(
            generator,
            latent,
            handles,
            targets,
            DragOptions(),
            judged=True,
            should_stop=was_interrupted,
        )
    note_flat(result, output)
    note_result(result, output)
    if was_interrupted():
        return drag_ended(result, output, was_interrupted=True)
    dragged = result.latents[-1]
    change = dragged - latent
    solver = SameEnd(generator, latent, change, handles[~is_pin], handles[is_pin])
    tiles = [(f"{name}, dragged", reduced(render_image(generator, dragged)))]
    rows = []
    first, last = parsed.to
    for seed in range(first, last + 1):
        other = sample_latent(generator, seed, parsed.psi, label)
        found = solver.apply(other, exact=parsed.exact)
        image = render_image(generator, other + found.added(change), every_channel=True)
        write_image(parsed.out / f"seed_{seed:04}.png", image)
        caption = f"{seed}: {found.strength:.2f}{'' if found.has_arrived else ' !'}"
        tiles.append((caption, reduced(image)))
        rows.append(_row(seed, found))
        output.note(f"seed {seed}: {found.strength:.2f}  {found.problem}".rstrip())
    write_atomically(parsed.out / "many.json", json.dumps(rows, indent=1).encode())
    write_atomically(parsed.out / "contact_sheet.png", sheet(tiles))
    arrived = sum(bool(row["arrived"]) for row in rows)
    output.note(f"{arrived} of {len(rows)} come to the same end; the images are in {parsed.out}")
    return drag_ended(result, output, was_interrupted=False)


def _dragged(parsed: argparse.Namespace, model: LoadedModel, label: int) -> tuple[FloatArray, str]:
    """Return the latent of the image to drag, and its name: that of its file, or its seed."""
    generator = model.generator
    if parsed.latent is None:
        return sample_latent(generator, parsed.seed, parsed.psi, label), str(parsed.seed)
    latent = latent_from_file(parsed.latent, generator.num_ws, generator.w_dim)
    return latent, parsed.latent.name


def _row(seed: int, found: Applied) -> dict[str, object]:
    return {
        "seed": seed,
        "strength": round(found.strength, 4),
        "arrived": found.has_arrived,
        "left_px_of_128": round(found.left_px, 2),
        "aside_px_of_128": round(found.aside_px, 2),
        "problem": found.problem,
    }


def reduced(image: ByteArray) -> Image.Image:
    """Return an image in the size of the sheet, so that many need little memory.

    Args:
        image: ``H x W x C`` uint8; channels after the third are left out.
    """
    height, width, _ = image.shape
    scale = _SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    colours = Image.fromarray(np.ascontiguousarray(image[..., :3]))
    return colours.resize(size, Image.Resampling.LANCZOS)


def sheet(tiles: Sequence[tuple[str, Image.Image]]) -> bytes:
    """Return a contact sheet as a PNG: images with captions, about as many rows as columns.

    Args:
        tiles: For each its caption, and its image of ``reduced``; all have one size.
    """
    columns = math.ceil(math.sqrt(len(tiles)))
    size = tiles[0][1].size
    step = size[0] + _GAP, size[1] + _CAPTION
    lines = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * step[0] + _GAP, lines * step[1] + _GAP), (32, 32, 32))
    draw = ImageDraw.Draw(page)
    for number, (caption, image) in enumerate(tiles):
        line, column = divmod(number, columns)
        left, top = _GAP + column * step[0], line * step[1]
        draw.text((left, top + 2), caption, fill="white", font_size=14)
        page.paste(image, (left, top + _CAPTION))
    encoded = io.BytesIO()
    page.save(encoded, format="PNG")
    return encoded.getvalue()
