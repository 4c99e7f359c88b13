# SPDX-License-Identifier: GPL-3.0-or-later
"""The latent of a command: that of a file, or of a seed and a label."""

from __future__ import annotations

import argparse

from draggan_blender.protocol.pictures import NO_LABEL

from ..arrays import FloatArray
from ..errors import RequestError
from ..latent_files import latent_from_file
from ..models import LoadedModel, sample_latent
from .output import Output


def sampled(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> FloatArray:
    """Return the latent of the file, or of the seed and the label, ``num_ws x w_dim`` float32.

    Raises:
        RequestError: As of ``label_of``, a value is out of range, or the file holds no latent of
            this model.
    """
    if parsed.latent is not None:
        return latent_from_file(parsed.latent, model.generator.num_ws, model.generator.w_dim)
    label = label_of(parsed, model, output)
    return sample_latent(model.generator, parsed.seed, parsed.psi, label)


def label_of(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> int:
    """Return the label of a command; say which one is used if none was given.

    Raises:
        RequestError: A label was given for a model without labels.
    """
    count, label = model.generator.c_dim, parsed.label
    if not count and label not in (None, NO_LABEL):
        raise RequestError(f"{model.path.name} has no labels; leave --label out")
    if count and label is None:
        label = 0
        output.note(f"label 0 of {count}; choose another with --label")
    return NO_LABEL if label is None else label
