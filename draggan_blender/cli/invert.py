# SPDX-License-Identifier: GPL-3.0-or-later
"""``invert``: add a GAN image that comes as near to a picture as the model can."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import bpy

from ..jobs import own_picture, requests
from ..protocol.losses import LOSS_NAMES, PIXELS
from ..protocol.own_picture import Alignment
from ..scene import models, picture_frame
from .running import DONE, Running, UsageError, add_common, add_model, add_save, save


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "invert",
        help="make a GAN image from a picture",
        description="Add a GAN image whose latent is that of a picture. Save the file with --save.",
    )
    parser.add_argument("picture", help="the picture's file")
    parser.add_argument(
        "--alignment",
        metavar="X,Y[,ANGLE[,SIZE]]",
        help="the frame on the picture: its middle in pixels from the top left corner, its angle "
        "in degrees counter-clockwise and its side in pixels; default: the largest square",
    )
    parser.add_argument(
        "--keep-alignment", action="store_true", help="do not refine where the frame is"
    )
    parser.add_argument("--seconds", type=float, help="the most seconds of the search; 0 for any")
    parser.add_argument("--tune", action="store_true", help="tune the model to the picture")
    parser.add_argument(
        "--noise", action="store_true", help="also find noise maps, in models that have noise"
    )
    parser.add_argument(
        "--loss", choices=LOSS_NAMES, default=PIXELS, help="how picture and image are compared"
    )
    parser.add_argument(
        "--loss-file", default="", help="the weights of the loss, or the discriminator's checkpoint"
    )
    add_model(parser)
    add_save(parser)
    add_common(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, running: Running) -> None:
    entry = _invert(options.picture, options)
    running.succeed(entry, f"{entry['image']}: {entry['sentence']}")
    if options.save and running.exit_code() == DONE:
        save(options.save)


def _invert(path: str, options: argparse.Namespace) -> dict[str, Any]:
    picture = own_picture.load(Path(path))
    model = str(Path(options.model).absolute()) if options.model else models.BUILT_IN_MODEL
    plane = own_picture.new_image(
        bpy.context,
        picture,
        model,
        alignment=_frame(options.alignment, picture),
        refine=not options.keep_alignment,
        seconds=options.seconds,
        tune=options.tune,
        noise=options.noise,
        loss=options.loss,
        loss_path=str(Path(options.loss_file).absolute()) if options.loss_file else "",
    )
    requests.wait(plane.draggan.request_id, math.inf)
    own = plane.draggan.own
    return {
        "image": plane.name,
        "sentence": own.sentence,
        "coverage": own.coverage,
        "centre_px": list(own.centre_px),
        "angle_deg": math.degrees(own.angle),
        "size_px": own.size_px,
    }


def _frame(text: str | None, picture: bpy.types.Image) -> Alignment:
    """Return the frame of ``--alignment``.

    Raises:
        UsageError: The text is not a frame.
    """
    whole = picture_frame.whole(*picture.size)
    if text is None:
        return whole
    try:
        x, y, *rest = map(float, text.split(","))
        angle, size_px = (rest + [0.0, whole.size_px][len(rest) :])[:2]
        if len(rest) > 2 or not all(map(math.isfinite, (x, y, angle, size_px))) or size_px <= 0:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"{text!r} is not a frame; expected its middle, angle and size: 200,180,-5,256"
        ) from None
    return Alignment(centre_px=(x, y), angle=math.radians(angle), size_px=size_px)
