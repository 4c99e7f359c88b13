# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines over a 3D view, light on dark, so that they are seen on any background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import bpy
import gpu
from gpu_extras.batch import batch_for_shader


def draw(kind: Literal["LINES", "LINE_STRIP"], places: Sequence[tuple[float, float]]) -> None:
    """Draw lines in the region that is being drawn.

    Args:
        kind: Whether each two places are a line, or all of them one.
        places: ``(x, y)`` px of the region.
    """
    region = bpy.context.region
    builtin: Any = gpu.shader.from_builtin
    shader = builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, kind, {"pos": [(x, y, 0.0) for x, y in places]})
    gpu.state.blend_set("ALPHA")
    shader.uniform_float("viewportSize", (region.width, region.height))
    for width, color in ((4.0, (0.0, 0.0, 0.0, 0.6)), (1.5, (1.0, 1.0, 1.0, 1.0))):
        shader.uniform_float("lineWidth", width)
        shader.uniform_float("color", color)
        batch.draw(shader)
    gpu.state.blend_set("NONE")
