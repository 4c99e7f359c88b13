# SPDX-License-Identifier: GPL-3.0-or-later
"""The plane that shows a GAN image: making it, finding it, and its map to texture coordinates.

A plane is an ordinary mesh with an ordinary material (Image Texture, Emission, Material Output), so
that a file renders the same where this extension is not installed. Python keeps no object between
two calls, because undo replaces objects: a job refers to its plane by uuid.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeGuard, cast

import bpy
import numpy as np

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from . import view

NAME = "GAN Image"
_TEXTURE_NODE = "GAN Image"

# uuid -> the name that the plane had when it was last found. Undo, a rename or another file can
# make it wrong, so the object with this name is always checked.
_names: dict[str, str] = {}


def is_plane(candidate: bpy.types.Object | None) -> TypeGuard[Plane]:
    """Return whether an object is a GAN image of this file; False for None and linked objects."""
    # Reading ``candidate.draggan`` would create the group, on every object of the scene.
    if candidate is None or not candidate.is_property_set("draggan"):
        return False
    if candidate.type != "MESH" or candidate.library is not None:
        return False
    return bool(candidate.draggan.uuid)


def active(context: bpy.types.Context) -> Plane | None:
    """Return the GAN image to work on: the active object, or the plane of the active point."""
    return image_of(getattr(context, "object", None))


def image_of(chosen: bpy.types.Object | None) -> Plane | None:
    """Return the GAN image that an object is, or is a point of; None if it is neither."""
    if is_plane(chosen):
        return chosen
    if chosen is not None and is_plane(chosen.parent):
        return chosen.parent
    return None


def require_active(context: bpy.types.Context) -> Plane:
    """Return the GAN image to work on, where a ``poll`` has checked that there is one.

    Raises:
        EditError: No GAN image is active.
    """
    plane = active(context)
    if plane is None:
        raise EditError("No GAN image is selected; select one, or make one with New GAN Image")
    return plane


def everywhere() -> list[Plane]:
    """Return every GAN image of the file."""
    return [candidate for candidate in bpy.data.objects if is_plane(candidate)]


def find(image_id: str) -> Plane | None:
    """Return the plane with this uuid, or None if it was deleted or undone.

    This is called for every message of the engine, so the plane's last name is tried first.
    """
    hinted: bpy.types.Object | None = bpy.data.objects.get(_names.get(image_id, ""))
    if is_plane(hinted) and hinted.draggan.uuid == image_id:
        return hinted
    found = next((plane for plane in everywhere() if plane.draggan.uuid == image_id), None)
    if found is not None:
        _names[image_id] = found.name
    return found


def scene_of(plane: Plane) -> bpy.types.Scene:
    """Return the scene whose timeline the plane follows, preferably one that is open in a window.

    Raises:
        EditError: The plane is in no scene.
    """
    scenes = list(plane.users_scene)
    shown = [window.scene for window in bpy.context.window_manager.windows]
    for scene in [*shown, bpy.context.scene, *scenes]:
        if scene is not None and scene in scenes:
            return scene
    raise EditError(f"{plane.name} is in no scene; link it to one")


def create(
    context: bpy.types.Context,
    location: Sequence[float] = (0.0, 0.0, 0.0),
    rotation: Sequence[float] = (0.0, 0.0, 0.0),
) -> Plane:
    """Add a square plane without an image to the scene, in a new collection.

    Args:
        context: Its scene gets the collection.
        location: ``(x, y, z)`` in world space.
        rotation: XYZ Euler angles in radians; without one, the plane lies flat and faces up.
    """
    mesh = bpy.data.meshes.new(NAME)
    corners = [(-1.0, -1.0, 0.0), (1.0, -1.0, 0.0), (1.0, 1.0, 0.0), (-1.0, 1.0, 0.0)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    uv = mesh.uv_layers.new(name="UVMap")
    uv.data.foreach_set("uv", [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    mesh.materials.append(_material())
    plane = cast(Plane, bpy.data.objects.new(NAME, mesh))
    plane.location, plane.rotation_euler = location, rotation
    plane.draggan.uuid = str(uuid.uuid4())
    collection = bpy.data.collections.new(plane.name)
    context.scene.collection.children.link(collection)
    collection.objects.link(plane)
    return plane


def remove(plane: Plane) -> None:
    """Remove a plane with its points, its material and the collection that was made for it."""
    collections = list(plane.users_collection)
    mesh, material = plane.data, plane.active_material
    for child in list(plane.children):
        bpy.data.objects.remove(child)
    bpy.data.objects.remove(plane)
    if isinstance(mesh, bpy.types.Mesh) and mesh.users == 0:
        bpy.data.meshes.remove(mesh)
    if material is not None and material.users == 0:
        bpy.data.materials.remove(material)
    for collection in collections:
        if collection.name.startswith(NAME) and not collection.all_objects:
            bpy.data.collections.remove(collection)


def fit_to_size(plane: Plane, width: int, height: int) -> None:
    """Store the image's size and, if it has changed, give the plane its aspect.

    Only a mesh of four vertices is changed.

    Args:
        plane: The GAN image.
        width: The width of the image in pixels.
        height: Its height.
    """
    if tuple(plane.draggan.size) == (width, height):
        return
    plane.draggan.size = (width, height)
    x, y = (side / 2.0 for side in view.plane_size(width, height))
    if len(plane.data.vertices) == 4:
        plane.data.vertices.foreach_set("co", [-x, -y, 0.0, x, -y, 0.0, x, y, 0.0, -x, y, 0.0])
        plane.data.update()


def twins(plane: Plane) -> list[Plane]:
    """Return the planes with the uuid of a plane, itself included; copies have that of another."""
    return [other for other in everywhere() if other.draggan.uuid == plane.draggan.uuid]


def uv_map(plane: Plane) -> view.Points:
    """Return the plane's map from local to texture coordinates; see ``view.fit_local_to_uv``.

    Returns:
        ``3 x 2`` float64, read-only.

    Raises:
        EditError: The mesh has no UVs, or the UVs are not flat.
    """
    mesh = plane.data
    layer = mesh.uv_layers.active
    if layer is None or not len(mesh.loops):
        raise EditError(
            f"{plane.name} has no UV map; unwrap the plane flat, or make a new GAN image"
        )
    corners = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
    mesh.vertices.foreach_get("co", corners)
    loops = np.empty(len(mesh.loops), dtype=np.int32)
    mesh.loops.foreach_get("vertex_index", loops)
    uv = np.empty(len(mesh.loops) * 2, dtype=np.float32)
    layer.data.foreach_get("uv", uv)
    try:
        return _fitted(corners.reshape(-1, 3)[loops, :2].tobytes(), uv.tobytes())
    except view.ViewError as error:
        raise EditError(f"{plane.name}: {error}") from None


@lru_cache(maxsize=16)
def _fitted(local: bytes, uv: bytes) -> view.Points:
    """Cache ``view.fit_local_to_uv`` of float32 coordinates: every step of a drag needs it."""
    fitted = view.fit_local_to_uv(
        np.frombuffer(local, np.float32).reshape(-1, 2),
        np.frombuffer(uv, np.float32).reshape(-1, 2),
    )
    fitted.setflags(write=False)  # all callers share it
    return fitted


def texture_node(plane: Plane) -> bpy.types.ShaderNodeTexImage:
    """Return the Image Texture node that shows the image.

    Raises:
        EditError: The node or its material was removed or renamed.
    """
    material = plane.active_material
    tree = material.node_tree if material is not None else None
    node = tree.nodes.get(_TEXTURE_NODE) if tree is not None else None
    if node is None or node.type != "TEX_IMAGE":
        raise EditError(
            f"{plane.name} has no Image Texture node named {_TEXTURE_NODE!r} in its active "
            "material; make a new GAN image"
        )
    return node


def _material() -> bpy.types.Material:
    """Make a material without shading: a render shows the image's own colours under any light."""
    material = bpy.data.materials.new(NAME)
    compat.enable_nodes(material)
    tree = material.node_tree
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    emission = tree.nodes.new("ShaderNodeEmission")
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.name = texture.label = _TEXTURE_NODE
    texture.extension = "EXTEND"
    emission.location, texture.location = (-200.0, 0.0), (-500.0, 0.0)
    tree.links.new(texture.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    tree.nodes.active = texture
    return material
