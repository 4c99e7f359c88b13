# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the DragGAN tab in the sidebar of the 3D view.

They only lay out properties and operators; the state that they show comes from the folders below.
"""

from __future__ import annotations

from . import (
    bake,
    drag,
    edits,
    engine,
    explore,
    farm,
    history,
    image,
    many,
    mask,
    material,
    models,
    own_picture,
    points,
    sliders,
    timeline,
)

CLASSES = (
    *engine.CLASSES,
    *image.CLASSES,
    *models.CLASSES,
    *explore.CLASSES,
    *own_picture.CLASSES,
    *sliders.CLASSES,
    *many.CLASSES,
    *points.CLASSES,
    *mask.CLASSES,
    *edits.CLASSES,
    *drag.CLASSES,
    *history.CLASSES,
    *bake.CLASSES,
    *material.CLASSES,
    *timeline.CLASSES,
    *farm.CLASSES,
)
