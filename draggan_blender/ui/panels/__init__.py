# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the DragGAN tab in the sidebar of the 3D view: layout only."""

from __future__ import annotations

from . import bake, farm, main, timeline

CLASSES = (*main.CLASSES, *bake.CLASSES, *timeline.CLASSES, *farm.CLASSES)
