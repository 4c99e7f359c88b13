# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``blend``: composes edits of an inverted picture onto the picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from draggan_blender.protocol.plain_files import read_plain_file

from ..differences import is_difference, read_difference
from ..errors import RequestError
from ..inputs import check_latent
from ..inversion.alignment import Alignment
from ..inversion.edits import blended, write_blended, write_single
from ..inversion.source import read_picture
from ..latent_files import latent_from_file
from ..models import LoadedModel
from ..output.frames import FrameNames
from ..output.track import Track
from ..pictures import Picture
from .output import Output

_FRAME = ("centre_x", "centre_y", "angle_deg", "size_px")
_MOST_BYTES = 1 << 20


def run_blend(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> None:
    """Compose a latent, or the rows of a track, onto a picture, and write the images.

    Raises:
        RequestError: A file of the inversion is missing or damaged, or the inversion, the track or
            the latent is of another model.
        OSError: A file cannot be read or written.
    """
    generator = model.generator
    shape = generator.num_ws, generator.w_dim
    pixels = read_picture(parsed.picture)
    frame, made_with = read_result(parsed.found / "result.json")
    _require_model(model, made_with)
    base = latent_from_file(parsed.found / "latent.npy", *shape)
    if parsed.track is not None:
        track = Track.load(parsed.track)
        model.require(track.model_sha256)
        check_latent(generator, track.start)
        edits = [track.picture(row) for row in range(len(track))]
        first = track.first_number
    else:
        edits, first = [Picture(latent_from_file(parsed.latent, *shape))], 1
    if parsed.out.suffix.lower() == ".png":
        (one,) = blended(generator, pixels, frame, base, edits[-1:])
        write_single(one, parsed.out, matte=parsed.matte)
        where = str(parsed.out.absolute())
        output.finished(f"the picture with the edit is {parsed.out}", path=where)
        return
    names = FrameNames(parsed.out, "blend", first)
    composed = blended(generator, pixels, frame, base, edits)
    write_blended(composed, names, matte=parsed.matte, on_written=output.saved)
    output.finished(f"{len(edits)} pictures with the edit are in {parsed.out}", frames=len(edits))


def read_result(path: Path) -> tuple[Alignment, str]:
    """Return what ``invert`` has written into its ``result.json``.

    Returns:
        The frame on the picture, and the SHA-256 of the model that the picture was inverted with,
        in hexadecimal.

    Raises:
        RequestError: The file is missing or damaged.
    """
    try:
        facts = json.loads(read_plain_file(path, _MOST_BYTES))
        frame = Alignment(*(float(facts[name]) for name in _FRAME))
        return frame, str(facts["model_sha256"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise RequestError(
            f"{path} was expected to be the result of the command invert, and cannot be read "
            f"({error}); name the folder that invert wrote into with --found"
        ) from error


def _require_model(model: LoadedModel, sha256: str) -> None:
    """Raise ``RequestError`` unless a model has this hash, or was tuned from the one that has."""
    if is_difference(model.path) and read_difference(model.path).base_sha256 == sha256:
        return
    model.require(sha256)
