# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a GAN image in the materials of other objects.

An ordinary Image Texture node shows it, so that a file renders the same where this extension is not
installed. The node has the uuid of the GAN image as a custom property, and the GAN image lists the
materials: that is how ``images`` finds the nodes when the image changes.
"""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from . import colours, planes

# The custom property of a node, with the uuid of the GAN image that it shows.
_MARK = "draggan_image"

# The types of sockets that an image can be plugged into, and the space that they need.
_SPACES = {"RGBA": colours.SRGB, "VALUE": colours.DATA}


def object_for(context: bpy.types.Context, plane: Plane) -> bpy.types.Object | None:
    """Return the object whose material a person means: the active one, or another selected one."""
    candidates = [context.object, *context.selected_objects]
    for candidate in candidates:
        if candidate is None or candidate == plane or planes.is_plane(candidate):
            continue
        if hasattr(candidate.data, "materials"):
            return candidate
    return None


def plane_for(context: bpy.types.Context) -> Plane | None:
    """Return the GAN image that a person means: the active one, a selected one, or the only one."""
    active = planes.active(context)
    if active is not None:
        return active
    selected = [found for found in context.selected_objects if planes.is_plane(found)]
    if len(selected) == 1:
        return selected[0]
    found = planes.everywhere()
    return found[0] if len(found) == 1 else None


def sockets(owner: bpy.types.Object) -> list[tuple[str, str]]:
    """Return the sockets of an object's material that an image can be plugged into.

    Returns:
        Identifier and name of each, in the order of the shader's node; those of a new material if
        the object has none.
    """
    material = owner.active_material
    if material is None or material.node_tree is None:
        return list(_NEW_SOCKETS)
    shader = _shader(material)
    if shader is None:
        return []
    return [
        (socket.identifier, socket.name)
        for socket in shader.inputs
        if socket.type in _SPACES and socket.enabled and not socket.hide_value
    ]


def plug_in(plane: Plane, owner: bpy.types.Object, socket_id: str) -> bpy.types.ShaderNodeTexImage:
    """Plug a GAN image into a socket of an object's material; the object gets one if it has none.

    A node that shows this image in this material already is used again.

    Args:
        plane: The GAN image.
        owner: The object.
        socket_id: The identifier of the socket; see ``sockets``.

    Returns:
        The node, which has no image until ``images.show_rest``.

    Raises:
        EditError: The material cannot be changed, or has no such socket.
    """
    material = owner.active_material or _new_material(owner)
    if material.library is not None or material.node_tree is None:
        raise EditError(f"The material {material.name} is linked or has no nodes; make it local")
    shader = _shader(material)
    socket: Any = None
    if shader is not None:
        socket = next((one for one in shader.inputs if one.identifier == socket_id), None)
    if shader is None or socket is None:
        raise EditError(f"The material {material.name} has no socket {socket_id}; choose another")
    space = _SPACES[socket.type]
    tree = material.node_tree
    node = next((one for one in _marked(plane, material) if space_of(one) == space), None)
    if node is None:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.name = node.label = plane.name if space == colours.SRGB else f"{plane.name} ({space})"
        node[_MARK] = plane.draggan.uuid
        node["draggan_space"] = space
        x, y = shader.location
        node.location = (x - 320.0, y - 300.0 * len(_marked(plane, material)) + 300.0)
    tree.links.new(node.outputs["Color"], socket)
    # Solid view shows the texture of the active node.
    tree.nodes.active = node
    uses = plane.draggan.uses
    if material not in [use.material for use in uses]:
        uses.add().material = material
    return node


def unplug(plane: Plane, material: bpy.types.Material) -> None:
    """Remove the nodes that show a GAN image from a material."""
    for node in _marked(plane, material):
        material.node_tree.nodes.remove(node)
    uses = plane.draggan.uses
    for index in reversed(range(len(uses))):
        if uses[index].material in (material, None):
            uses.remove(index)


def nodes(plane: Plane) -> list[bpy.types.ShaderNodeTexImage]:
    """Return the nodes in other materials that show a GAN image."""
    materials = [use.material for use in plane.draggan.uses if use.material is not None]
    return [node for material in materials for node in _marked(plane, material)]


def space_of(node: bpy.types.ShaderNodeTexImage) -> str:
    """Return the space that such a node needs its image in."""
    return str(node.get("draggan_space", colours.SRGB))


def _marked(plane: Plane, material: bpy.types.Material) -> list[Any]:
    tree = material.node_tree
    found: list[Any] = [] if tree is None else list(tree.nodes)
    return [
        node for node in found if node.type == "TEX_IMAGE" and node.get(_MARK) == plane.draggan.uuid
    ]


def _shader(material: bpy.types.Material) -> Any | None:
    """Return the node at the surface of a material's output."""
    tree = material.node_tree
    output: Any = tree.get_output_node("ALL") if tree is not None else None
    if output is None or not output.inputs["Surface"].links:
        return None
    return output.inputs["Surface"].links[0].from_node


def _new_material(owner: Any) -> bpy.types.Material:
    material = bpy.data.materials.new(owner.name)
    compat.enable_nodes(material)
    if owner.material_slots:
        owner.active_material = material
    else:
        owner.data.materials.append(material)
    return material


# The sockets of the shader of a new material that are wanted most.
_NEW_SOCKETS = (
    ("Base Color", "Base Color"),
    ("Metallic", "Metallic"),
    ("Roughness", "Roughness"),
    ("Alpha", "Alpha"),
    ("Emission Color", "Emission Color"),
)
