# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of a plane: its corners with their UVs, and moving its vertices, in every mode.

In Edit Mode the mesh itself is out of date, and what a person edits is another one.
"""

from __future__ import annotations

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def corners(mesh: bpy.types.Mesh) -> tuple[Rows, Rows] | None:
    """Return the place and the UV of each corner of the faces, ``N x 2`` float32 each.

    Returns:
        None if the mesh has no faces or no UVs.
    """
    if mesh.is_editmode:
        return _edited_corners(mesh)
    layer = mesh.uv_layers.active
    if layer is None or not len(mesh.loops):
        return None
    loops = np.empty(len(mesh.loops), dtype=np.int32)
    mesh.loops.foreach_get("vertex_index", loops)
    uv = np.empty(len(mesh.loops) * 2, dtype=np.float32)
    layer.data.foreach_get("uv", uv)
    return places(mesh)[loops], uv.reshape(-1, 2)


def places(mesh: bpy.types.Mesh) -> Rows:
    """Return the places of the vertices, ``N x 2`` float32."""
    if mesh.is_editmode:
        found = [vertex.co[:2] for vertex in bmesh.from_edit_mesh(mesh).verts]
        return np.array(found, dtype=np.float32).reshape(-1, 2)
    coordinates = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
    mesh.vertices.foreach_get("co", coordinates)
    return coordinates.reshape(-1, 3)[:, :2]


def move(mesh: bpy.types.Mesh, wanted: Rows) -> None:
    """Move the vertices within the plane.

    Args:
        mesh: The mesh.
        wanted: ``N x 2`` float32, in the order of ``places``.
    """
    if mesh.is_editmode:
        edited = bmesh.from_edit_mesh(mesh)
        for vertex, place in zip(edited.verts, wanted.tolist(), strict=True):
            vertex.co[:2] = place
        bmesh.update_edit_mesh(mesh)
        return
    coordinates = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
    mesh.vertices.foreach_get("co", coordinates)
    coordinates.reshape(-1, 3)[:, :2] = wanted
    mesh.vertices.foreach_set("co", coordinates)
    mesh.update()


def _edited_corners(mesh: bpy.types.Mesh) -> tuple[Rows, Rows] | None:
    edited = bmesh.from_edit_mesh(mesh)
    layer = edited.loops.layers.uv.active
    loops = [loop for face in edited.faces for loop in face.loops]
    if layer is None or not loops:
        return None
    found = np.array([(*loop.vert.co[:2], *loop[layer].uv) for loop in loops], dtype=np.float32)
    return found[:, :2], found[:, 2:]
