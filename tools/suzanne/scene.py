# SPDX-License-Identifier: GPL-3.0-or-later
"""The rendered scene: Suzanne, one sun, a coloured world, a fixed camera.

The head is aligned, as in the face data sets: its position and scale never change, only its pose.
(With varying position, roll and scale, a generator of this size did not learn the pose.) Shape
factors are shape keys and colours are inputs of nodes, so that one scene is used for all pictures
and Cycles keeps the data that did not change.

The module needs ``bpy``: the module, or the Python of a Blender.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from tools.suzanne import factors, markings, shapes

# Vertices of Blender's monkey mesh. The subdivision modifier keeps the indices of the original
# vertices, so these also work for the evaluated mesh.
LANDMARKS = {
    "eye_left": 60,
    "eye_right": 61,
    "nose": 207,
    "chin": 216,
    "ear_left": 487,
    "ear_right": 488,
    "crown": 301,
}
_EYE_VERTICES = 33
# The shape key of ``SuzanneScene.deform``.
_DEFORM = "Deform"
_SUN_STRENGTH = 3.2
_CAMERA_DISTANCE = 6.0
_FOCAL_LENGTH_MM = 66.0


def _islands(mesh: bpy.types.Mesh) -> NDArray[np.int64]:
    """Return a number for each vertex, ``V`` int, that is equal within a connected component."""
    label = np.arange(len(mesh.vertices))
    edges = np.array([edge.vertices[:] for edge in mesh.edges])
    while True:
        lowest = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        before = label.copy()
        np.minimum.at(label, edges[:, 0], lowest)
        np.minimum.at(label, edges[:, 1], lowest)
        if np.array_equal(before, label):
            return label


class _Paint:
    """Builds a material: one colour, and markings painted over it one after the other."""

    def __init__(self, name: str) -> None:
        self._material = bpy.data.materials.new(name)
        self._material.use_nodes = True
        self._nodes = self._material.node_tree.nodes
        self._links = self._material.node_tree.links
        self._nodes.clear()
        rest = self._nodes.new("ShaderNodeAttribute")
        rest.attribute_name = "rest"
        self._rest: bpy.types.NodeSocket = rest.outputs["Vector"]
        base = self._nodes.new("ShaderNodeRGB")
        self.colour: bpy.types.NodeSocket = base.outputs[0]
        self._surface = self.colour

    def add(self, mark: markings.Marking) -> None:
        """Paint a marking over the material so far."""
        from_centre = self._node("ShaderNodeVectorMath", "SUBTRACT", self._rest)
        from_centre.inputs[1].default_value = mark.centre
        scaled = self._node("ShaderNodeVectorMath", "DIVIDE", from_centre.outputs[0])
        scaled.inputs[1].default_value = mark.radii
        length = self._node("ShaderNodeVectorMath", "LENGTH", scaled.outputs[0])
        ramp = self._nodes.new("ShaderNodeMapRange")
        ramp.interpolation_type = "SMOOTHSTEP"
        inner, outer = 1.0, 1.0 + mark.softness
        ramp.inputs["From Min"].default_value = inner if mark.outside else outer
        ramp.inputs["From Max"].default_value = outer if mark.outside else inner
        ramp.inputs["To Max"].default_value = mark.share
        self._links.new(length.outputs["Value"], ramp.inputs["Value"])
        mix = self._nodes.new("ShaderNodeMixRGB")
        mix.inputs["Color2"].default_value = (*mark.rgb, 1.0)
        self._links.new(ramp.outputs["Result"], mix.inputs["Fac"])
        self._links.new(self._surface, mix.inputs["Color1"])
        self._surface = mix.outputs[0]

    def finish(self) -> bpy.types.Material:
        """Connect the colour to a diffuse surface and return the material."""
        diffuse = self._nodes.new("ShaderNodeBsdfDiffuse")
        output = self._nodes.new("ShaderNodeOutputMaterial")
        self._links.new(self._surface, diffuse.inputs["Color"])
        self._links.new(diffuse.outputs[0], output.inputs["Surface"])
        return self._material

    def _node(self, kind: str, operation: str, value: bpy.types.NodeSocket) -> bpy.types.Node:
        node = self._nodes.new(kind)
        node.operation = operation
        self._links.new(value, node.inputs[0])
        return node


class SuzanneScene:
    """The scene: ``apply`` sets the factors, and ``render`` makes a picture.

    Making an instance replaces everything in the current Blender file.
    """

    def __init__(self, *, size_px: int, samples: int) -> None:
        """Set up the scene.

        Args:
            size_px: Width and height of the pictures.
            samples: Rays per pixel.
        """
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.mesh.primitive_monkey_add(size=2.0)
        self._head: bpy.types.Object = bpy.context.object
        self._coordinates = np.array([vertex.co for vertex in self._head.data.vertices])
        self._size_px = size_px
        self._store_rest_places()
        self._fur_input = self._make_fur()
        self._eye_input = self._make_eyes()
        self._shapes = self._add_shape_keys()
        modifier = self._head.modifiers.new("Subdivision", "SUBSURF")
        modifier.levels = modifier.render_levels = 2
        for polygon in self._head.data.polygons:
            polygon.use_smooth = True
        self._world_input = self._make_world()
        self._sun = self._make_sun()
        self._camera = self._make_camera()
        self._set_renderer(samples)

    def apply(self, values: NDArray[np.float64]) -> None:
        """Set pose, shape, light and colours of the scene.

        Args:
            values: ``F`` numbers in [-1, 1], in the order of ``factors.FACTORS``.
        """
        by_name = dict(zip(factors.FACTORS, map(float, values), strict=True))
        # First pitch about the head's own ear axis, then yaw, then roll in the picture's plane: the
        # vertical position of the muzzle then depends on pitch, and the horizontal one on yaw.
        self._head.rotation_mode = "XZY"
        self._head.rotation_euler = (
            -factors.PITCH_MAX_RAD * by_name["pitch"],
            factors.ROLL_MAX_RAD * by_name["roll"],
            factors.YAW_MAX_RAD * by_name["yaw"],
        )
        for name in self._shapes:
            self._head.data.shape_keys.key_blocks[name].value = by_name[name]
        low, high = factors.LIGHT_ELEVATION_RAD
        elevation = low + (high - low) * (by_name["light_elevation"] + 1.0) / 2.0
        azimuth = factors.LIGHT_AZIMUTH_MAX_RAD * by_name["light_azimuth"]
        # A sun shines along its -Z. Seen from the camera's side without elevation, that is +Y.
        self._sun.rotation_euler = (math.pi / 2.0 - elevation, 0.0, azimuth)
        self._set_colours(by_name)

    def render(self, path: Path) -> None:
        """Render the scene and write it as an 8-bit RGB PNG."""
        bpy.context.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)

    def landmarks(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the positions of the landmarks in the picture, and whether the camera sees them.

        Returns:
            ``L x 2`` float32, image pixels (x, y) with the origin top-left, and ``L`` bool, both in
            the order of ``LANDMARKS``.
        """
        return self.places(list(LANDMARKS.values()))

    def places(
        self, vertices: Sequence[int] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the positions of vertices in the picture, and whether the camera sees them.

        Args:
            vertices: P indices into the subdivided mesh, which begins with the vertices of
                Blender's monkey; None for all of it, whose visibility is not computed (False).

        Returns:
            ``P x 2`` float32, image pixels (x, y) with the origin top-left, and ``P`` bool.
        """
        graph = bpy.context.evaluated_depsgraph_get()
        points = self._world(graph, vertices)
        eye = self._camera.matrix_world.translation
        scale = (points[:, 1] - eye.y) * math.tan(self._camera.data.angle / 2.0)
        pixels = np.stack([points[:, 0] / scale + 1.0, 1.0 - points[:, 2] / scale], axis=1)
        pixels *= self._size_px / 2.0
        visible = np.zeros(len(points), dtype=np.bool_)
        if vertices is not None:
            visible[:] = [self._sees(graph, eye, Vector(point)) for point in points]
        return pixels.astype(np.float32), visible

    def shift_of(self, vertex: int, shift_px: Sequence[float]) -> NDArray[np.float64]:
        """Return the shift in the mesh's space that moves a vertex in parallel to the picture.

        Args:
            vertex: An index as for ``places``.
            shift_px: By how much the vertex is to move, image pixels (x, y).

        Returns:
            ``3`` float64.
        """
        graph = bpy.context.evaluated_depsgraph_get()
        depth = self._world(graph, [vertex])[0, 1] - self._camera.matrix_world.translation.y
        per_px = depth * math.tan(self._camera.data.angle / 2.0) * 2.0 / self._size_px
        shift = Vector((shift_px[0] * per_px, 0.0, -shift_px[1] * per_px))
        return np.array(self._head.matrix_world.to_3x3().inverted() @ shift)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """The rotation of the head, ``3 x 3``: from the mesh's space to the world's."""
        bpy.context.view_layer.update()
        return np.array(self._head.matrix_world.to_3x3())

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """The vertices of Blender's monkey mesh without any shape, ``V x 3``."""
        return self._coordinates

    def deform(self, offsets: NDArray[np.float64] | None) -> None:
        """Move the vertices of Blender's monkey in addition to the shapes, until the next call.

        Args:
            offsets: ``V x 3`` float64 in the mesh's space; None for no such motion.
        """
        keys = self._head.data.shape_keys.key_blocks
        if _DEFORM not in keys:
            self._head.shape_key_add(name=_DEFORM)
        moved = self._coordinates if offsets is None else self._coordinates + offsets
        keys[_DEFORM].value = 1.0
        keys[_DEFORM].data.foreach_set("co", moved.ravel())
        self._head.data.update()

    def _world(
        self, graph: bpy.types.Depsgraph, vertices: Sequence[int] | None
    ) -> NDArray[np.float64]:
        """Return the positions of vertices, as for ``places``, in the world: ``P x 3``."""
        head = self._head.evaluated_get(graph)
        mesh = head.to_mesh()
        places = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
        mesh.vertices.foreach_get("co", places)
        head.to_mesh_clear()
        points = places.reshape(-1, 3).astype(np.float64)
        if vertices is not None:
            points = points[list(vertices)]
        matrix = np.array(head.matrix_world)
        moved: NDArray[np.float64] = points @ matrix[:3, :3].T + matrix[:3, 3]
        return moved

    def _sees(self, graph: bpy.types.Depsgraph, eye: Vector, point: Vector) -> bool:
        direction = point - eye
        hit, location, *_ = bpy.context.scene.ray_cast(graph, eye, direction.normalized())
        return not hit or (location - eye).length > direction.length - 0.08

    def _store_rest_places(self) -> None:
        """Store each vertex's position without shape keys, mirrored to x >= 0, for the markings."""
        attribute = self._head.data.attributes.new("rest", "FLOAT_VECTOR", "POINT")
        rest = self._coordinates.copy()
        rest[:, 0] = np.abs(rest[:, 0])
        attribute.data.foreach_set("vector", rest.astype(np.float32).ravel())

    def _make_fur(self) -> bpy.types.NodeSocket:
        """Add the material of everything but the eyes; returns the socket of its colour."""
        paint = _Paint("Fur")
        for mark in markings.FUR:
            paint.add(mark)
        self._head.data.materials.append(paint.finish())
        return paint.colour

    def _make_eyes(self) -> bpy.types.NodeSocket:
        """Add the material of the two eye islands; returns the socket of the iris's colour."""
        paint = _Paint("Eye")
        for mark in markings.EYE:
            paint.add(mark)
        self._head.data.materials.append(paint.finish())
        islands = _islands(self._head.data)
        is_eye = np.bincount(islands, minlength=len(islands))[islands] == _EYE_VERTICES
        for polygon in self._head.data.polygons:
            polygon.material_index = int(is_eye[polygon.vertices[0]])
        return paint.colour

    def _add_shape_keys(self) -> tuple[str, ...]:
        """Add one shape key in [-1, 1] for each factor of shape; returns their names."""
        self._head.shape_key_add(name="Basis")
        offsets = shapes.offsets(self._coordinates)
        for name, offset in offsets.items():
            key = self._head.shape_key_add(name=name)
            key.slider_min, key.slider_max = -1.0, 1.0
            key.data.foreach_set("co", (self._coordinates + offset).ravel())
        return tuple(offsets)

    @staticmethod
    def _make_world() -> bpy.types.NodeSocket:
        world = bpy.data.worlds.new("World")
        bpy.context.scene.world = world
        world.use_nodes = True
        return world.node_tree.nodes["Background"].inputs["Color"]

    @staticmethod
    def _make_sun() -> bpy.types.Object:
        light = bpy.data.lights.new("Sun", "SUN")
        light.energy = _SUN_STRENGTH
        light.angle = math.radians(5.0)
        sun = bpy.data.objects.new("Sun", light)
        bpy.context.scene.collection.objects.link(sun)
        return sun

    @staticmethod
    def _make_camera() -> bpy.types.Object:
        data = bpy.data.cameras.new("Camera")
        data.lens = _FOCAL_LENGTH_MM
        camera = bpy.data.objects.new("Camera", data)
        camera.location = (0.0, -_CAMERA_DISTANCE, 0.0)
        camera.rotation_euler = (math.pi / 2.0, 0.0, 0.0)
        bpy.context.scene.collection.objects.link(camera)
        bpy.context.scene.camera = camera
        bpy.context.view_layer.update()
        return camera

    def _set_renderer(self, samples: int) -> None:
        scene = bpy.context.scene
        scene.render.engine = "CYCLES"
        scene.cycles.device = "CPU"
        scene.cycles.samples = samples
        scene.cycles.use_denoising = False
        scene.cycles.max_bounces = 2
        scene.render.use_persistent_data = True
        scene.render.threads_mode = "FIXED"
        scene.render.threads = 1
        scene.render.resolution_x = scene.render.resolution_y = self._size_px
        scene.render.resolution_percentage = 100
        scene.view_settings.view_transform = "Standard"
        settings = scene.render.image_settings
        settings.file_format, settings.color_mode, settings.compression = "PNG", "RGB", 0

    def _set_colours(self, by_name: Mapping[str, float]) -> None:
        for part, colour, socket in (
            ("fur", factors.FUR_COLOUR, self._fur_input),
            ("eye", factors.EYE_COLOUR, self._eye_input),
            ("background", factors.BACKGROUND_COLOUR, self._world_input),
        ):
            rgb = factors.linear_rgb(colour, by_name[f"{part}_a"], by_name[f"{part}_b"])
            socket.default_value = (*rgb, 1.0)
