# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands ``directions`` and ``mix``."""

from __future__ import annotations

import argparse

import numpy as np

from draggan_blender.protocol.direction_files import write
from draggan_blender.protocol.directions import on_layers

from ..arrays import FloatArray
from ..errors import RequestError
from ..models import LoadedModel, sample_latent
from ..output.frames import write_image
from ..output.render import render_image
from ..solving.directions import find_directions
from .output import Output
from .sampled import label_of


def directions(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> None:
    """Write the directions of a model.

    Raises:
        RequestError: The suffix of the file is not one of a file of directions.
        OSError: The file cannot be written.
    """
    found = find_directions(model.generator)
    try:
        write(parsed.out, found)
    except ValueError as error:
        raise RequestError(str(error)) from None
    output.note(f"{len(found)} directions of {model.path.name} are in {parsed.out}")


def mix(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> None:
    """Write the image of a seed with the style of another, or a strip of all crossings.

    Raises:
        RequestError: A seed, the label, the truncation or the layer is out of range, or a label was
            given for a model without labels.
        OSError: The file cannot be written.
    """
    generator, label = model.generator, label_of(parsed, model, output)
    structure, style = (
        sample_latent(generator, seed, parsed.psi, label)
        for seed in (parsed.seed, parsed.style_seed)
    )
    count = len(structure)
    first = (count + 1) // 2 if parsed.from_layer < 0 else parsed.from_layer
    if first >= count:
        raise RequestError(
            f"--from-layer must be from 0 to {count - 1}, or -1 for the later half, not {first}"
        )
    firsts = range(count) if parsed.strip else [first]
    images = [
        render_image(generator, mixed(structure, style, one, parsed.weight), every_channel=True)
        for one in firsts
    ]
    write_image(parsed.out, np.concatenate(images, axis=1))
    output.note(f"seed {parsed.seed} in the style of seed {parsed.style_seed} is in {parsed.out}")


def mixed(structure: FloatArray, style: FloatArray, first: int, weight: float) -> FloatArray:
    """Return a latent with the style of another in its later layers.

    Args:
        structure: ``num_ws x w_dim`` float32.
        style: The same shape.
        first: The first layer that changes, counted from 0.
        weight: How much of the style is taken, 1 for all of it.
    """
    count = len(structure)
    return structure + np.float32(weight) * on_layers(style - structure, count, first, count - 1)
