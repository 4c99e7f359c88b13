# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators: each reads the context, calls a plain function, and reports its error."""

from __future__ import annotations

from . import (
    bake,
    drag,
    edits,
    engine,
    explore,
    export,
    farm,
    history,
    image,
    installation,
    latents,
    mask,
    mask_draw,
    material,
    models,
    own_directions,
    part,
    points,
    pull,
    region,
    retiming,
    sliders,
)

CLASSES = (
    *engine.CLASSES,
    *installation.CLASSES,
    *image.CLASSES,
    *models.CLASSES,
    *explore.CLASSES,
    *points.CLASSES,
    *region.CLASSES,
    *mask.CLASSES,
    *mask_draw.CLASSES,
    *part.CLASSES,
    *drag.CLASSES,
    *edits.CLASSES,
    *sliders.CLASSES,
    *own_directions.CLASSES,
    *pull.CLASSES,
    *history.CLASSES,
    *bake.CLASSES,
    *retiming.CLASSES,
    *latents.CLASSES,
    *export.CLASSES,
    *material.CLASSES,
    *farm.CLASSES,
)
