# SPDX-License-Identifier: GPL-3.0-or-later
"""The tint over the part of an image that its mask protects, drawn over the plane in 3D views.

The plane's material is not changed, so a file looks the same without the extension. The texture is
Blender's own for the image: Blender uploads it again only where the image has changed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..properties.owners import Plane
from ..scene import mask_painting, planes

# Red and dark stripes in turn are seen on pictures of any colour.
_COLOR = (0.8, 0.02, 0.06, 0.5)

# How much nearer to the viewer than the plane the tint is drawn, in normalised depth.
_NEARER = 2e-5

_VERTEX = """
void main()
{
  place = uv;
  gl_Position = matrix * vec4(pos, 1.0);
  gl_Position.z -= nearer * gl_Position.w;
}
"""

_FRAGMENT = """
void main()
{
  float held = 1.0 - clamp(texture(mask, place).r, 0.0, 1.0);
  float stripe = step(0.5, fract((gl_FragCoord.x + gl_FragCoord.y) / 12.0));
  FragColor = vec4(color.rgb * mix(0.2, 1.0, stripe), color.a * held);
}
"""

_handle: Any = None


@cache
def _shader() -> Any:
    """Compile the shader, which needs a window."""
    types: Any = gpu.types
    passed: Any = types.GPUStageInterfaceInfo("draggan_mask_tint")
    passed.smooth("VEC2", "place")
    info = types.GPUShaderCreateInfo()
    info.push_constant("MAT4", "matrix")
    info.push_constant("VEC4", "color")
    info.push_constant("FLOAT", "nearer")
    info.sampler(0, "FLOAT_2D", "mask")
    info.vertex_in(0, "VEC3", "pos")
    info.vertex_in(1, "VEC2", "uv")
    info.vertex_out(passed)
    info.fragment_out(0, "VEC4", "FragColor")
    info.vertex_source(_VERTEX)
    info.fragment_source(_FRAGMENT)
    create: Any = gpu.shader.create_from_info
    return create(info)


def is_tinted(plane: Plane) -> bool:
    """Return whether the tint is drawn over a plane: while painting, or if *Show Mask* is on."""
    mask = plane.draggan.mask
    # Blender has pixels of a sequence or movie only for the frame that something else draws.
    if mask is None or mask.source not in ("FILE", "GENERATED") or not all(mask.size):
        return False
    if plane.mode == "EDIT":  # the mesh has no corners and UVs to read then
        return False
    return bool(plane.draggan.show_mask) or mask_painting.is_painting(plane)


def _draw() -> None:
    context = bpy.context
    space: Any = context.space_data
    for plane in planes.everywhere():
        if not is_tinted(plane) or not plane.visible_get(viewport=space):
            continue
        positions, uv = _triangles(plane)
        if not len(positions):
            continue
        shader = _shader()
        batch = batch_for_shader(shader, "TRIS", {"pos": positions, "uv": uv})
        gpu.state.depth_test_set("LESS_EQUAL")
        gpu.state.blend_set("ALPHA")
        seen = context.region_data.perspective_matrix @ plane.matrix_world
        shader.uniform_float("matrix", seen)
        shader.uniform_float("color", _COLOR)
        shader.uniform_float("nearer", _NEARER)
        shader.uniform_sampler("mask", gpu.texture.from_image(plane.draggan.mask))
        batch.draw(shader)
        gpu.state.blend_set("NONE")
        gpu.state.depth_test_set("NONE")


def _triangles(plane: Plane) -> tuple[Any, Any]:
    """Return the corners of a plane's triangles and their UVs, ``N x 3`` and ``N x 2`` float32."""
    mesh = plane.data
    layer = mesh.uv_layers.active
    if layer is None:
        return (), ()
    mesh.calc_loop_triangles()
    loops = np.empty(len(mesh.loop_triangles) * 3, dtype=np.int32)
    vertices = np.empty_like(loops)
    mesh.loop_triangles.foreach_get("loops", loops)
    mesh.loop_triangles.foreach_get("vertices", vertices)
    places = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
    mesh.vertices.foreach_get("co", places)
    uv = np.empty(len(layer.data) * 2, dtype=np.float32)
    layer.data.foreach_get("uv", uv)
    return places.reshape(-1, 3)[vertices], uv.reshape(-1, 2)[loops]


def register() -> None:
    """Start to draw the tint."""
    global _handle
    _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")


def unregister() -> None:
    """Stop to draw the tint."""
    global _handle
    bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    _handle = None
    _shader.cache_clear()
