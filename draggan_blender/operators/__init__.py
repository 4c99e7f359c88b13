# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons. Each reads the context, calls a plain function, and reports."""

from __future__ import annotations

from . import drag, engine, image, points

CLASSES = (*engine.CLASSES, *image.CLASSES, *points.CLASSES, *drag.CLASSES)
