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
from typing import Any, TypeGuard, cast

import bpy
import numpy as np

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from . import plane_mesh, view

NAME = "GAN Image"
_TEXTURE_NODE = "GAN Image"

# uuid -> the name that the plane had when it was last found. Undo, a rename or another file can
# make it wrong, so the object with this name is always checked.
_names: dict[str, str] = {}


def is_plane(candidate: bpy.types.Object | None) -> TypeGuard[Plane]:
    """Return whether an object is a GAN image of this file; see ``is_of_another_file``."""
    return _has_image(candidate) and not _is_linked(candidate)


def is_of_another_file(candidate: bpy.types.Object | None) -> bool:
    """Return whether an object is a GAN image that is linked, or an override of one.

    Blender lets nobody add to the collections of an override, such as its pairs.
    """
    return _has_image(candidate) and _is_linked(candidate)


def _has_image(candidate: bpy.types.Object | None) -> TypeGuard[Plane]:
    # Reading ``candidate.draggan`` would create the group, on every object of the scene.
    if candidate is None or not candidate.is_property_set("draggan"):
        return False
    found: Any = candidate
    return found.type == "MESH" and bool(found.draggan.uuid)


def _is_linked(candidate: bpy.types.Object) -> bool:
    return candidate.library is not None or candidate.override_library is not None


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
    slot = slot_of(plane)
    mesh, material = plane.data, None if slot is None else slot.material
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


def fit_to_size(plane: Plane, width: int, height: int) -> bool:
    """Store the image's size and, if it has changed, give the plane its aspect.

    The mesh is stretched so that the image has its aspect on it; the longer side of the image
    keeps its length, which is 2 on a new plane.

    Args:
        plane: The GAN image.
        width: The width of the image in pixels.
        height: Its height.

    Returns:
        Whether the plane has the image's aspect now; one whose UVs are not flat keeps its own.
    """
    if tuple(plane.draggan.size) == (width, height):
        return True
    plane.draggan.size = (width, height)
    mesh = _mesh(plane)
    try:
        fitted = uv_map(plane)
    except EditError:
        return False
    wanted = view.stretched(fitted, plane_mesh.places(mesh), view.plane_size(width, height))
    plane_mesh.move(mesh, np.asarray(wanted, np.float32))
    return True


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
    found = plane_mesh.corners(_mesh(plane))
    if found is None:
        raise EditError(
            f"{plane.name} has no UV map; unwrap the plane flat, or make a new GAN image"
        )
    corners, uv = found
    try:
        return _fitted(corners.tobytes(), uv.tobytes())
    except view.ViewError as error:
        raise EditError(f"{plane.name}: {error}") from None


def _mesh(plane: Plane) -> bpy.types.Mesh:
    return cast(bpy.types.Mesh, plane.data)  # ``is_plane`` has checked it


@lru_cache(maxsize=16)
def _fitted(local: bytes, uv: bytes) -> view.Points:
    """Cache ``view.fit_local_to_uv`` of float32 coordinates: every step of a drag needs it."""
    fitted = view.fit_local_to_uv(
        np.frombuffer(local, np.float32).reshape(-1, 2),
        np.frombuffer(uv, np.float32).reshape(-1, 2),
    )
    fitted.setflags(write=False)  # all callers share it
    return fitted


def slot_of(plane: Plane) -> bpy.types.MaterialSlot | None:
    """Return the material slot that shows the image, whichever one is chosen in the interface."""
    slots = list(plane.material_slots)
    # The active one first: several may have such a node.
    slots.sort(key=lambda slot: slot.slot_index != plane.active_material_index)
    return next((slot for slot in slots if _node_in(slot.material) is not None), None)


def texture_node(plane: Plane) -> bpy.types.ShaderNodeTexImage:
    """Return the Image Texture node that shows the image.

    Raises:
        EditError: The node or its material was removed or renamed.
    """
    slot = slot_of(plane)
    node = None if slot is None else _node_in(slot.material)
    if node is None:
        raise EditError(
            f"{plane.name} has no Image Texture node named {_TEXTURE_NODE!r} in its materials; "
            "make a new GAN image"
        )
    return node


def _node_in(material: bpy.types.Material | None) -> bpy.types.ShaderNodeTexImage | None:
    tree = material.node_tree if material is not None else None
    node = tree.nodes.get(_TEXTURE_NODE) if tree is not None else None
    return node if isinstance(node, bpy.types.ShaderNodeTexImage) else None


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
