# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene that is rendered: Suzanne, one sun, a coloured world, a fixed camera.

The head is aligned, as in the face data sets: position and scale never change, only the pose does.
(With position, roll and scale varying too, a generator of this size learns no pose.)  Shape factors
are shape keys, colours are inputs of nodes, so that one scene serves all pictures and Cycles keeps
what did not change.

Runs inside Blender (the `bpy` module or a Blender's own Python).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from tools.suzanne import factors

# Vertices of Blender's monkey mesh.  The modifier keeps these indices for the corners of the
# original mesh, so that they can be read back from the evaluated one.
LANDMARKS = {
    "muzzle": 71,
    "chin": 136,
    "nose": 207,
    "brow": 67,
    "crown": 302,
    "ear_left": 497,
    "ear_right": 498,
    "eye_left": 0,
    "eye_right": 0,
}
_EYE_VERTICES = 33
_SUN_STRENGTH = 3.2
_CAMERA_DISTANCE = 6.0


def _smoothstep(low: float, high: float, value: NDArray[np.float64]) -> NDArray[np.float64]:
    t: NDArray[np.float64] = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _islands(mesh: bpy.types.Mesh) -> NDArray[np.int64]:
    """Number of the connected component of each vertex: `V` int."""
    label = np.arange(len(mesh.vertices))
    edges = np.array([edge.vertices[:] for edge in mesh.edges])
    while True:
        lowest = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        before = label.copy()
        np.minimum.at(label, edges[:, 0], lowest)
        np.minimum.at(label, edges[:, 1], lowest)
        if np.array_equal(before, label):
            return label


class SuzanneScene:
    """Blender's scene, emptied and set up; `apply` poses it and `render` takes a picture."""

    def __init__(self, *, size_px: int, samples: int) -> None:
        """Set the scene up for square pictures of `size_px` with `samples` rays a pixel."""
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.ops.mesh.primitive_monkey_add(size=2.0)
        self._head: bpy.types.Object = bpy.context.object
        self._coordinates = np.array([vertex.co for vertex in self._head.data.vertices])
        self._landmarks = dict(LANDMARKS)
        self._size_px = size_px
        self._paint_parts()
        self._fur_input = self._make_fur()
        self._eye_input = self._make_eyes()
        self._add_shape_keys()
        modifier = self._head.modifiers.new("Subdivision", "SUBSURF")
        modifier.levels = modifier.render_levels = 2
        for polygon in self._head.data.polygons:
            polygon.use_smooth = True
        self._world_input = self._make_world()
        self._sun = self._make_sun()
        self._camera = self._make_camera()
        self._set_renderer(samples)

    def apply(self, values: NDArray[np.float64]) -> None:
        """Pose, shape, light and paint the scene by the factors `values`, `F` in [-1, 1]."""
        by_name = dict(zip(factors.FACTORS, map(float, values), strict=True))
        # Pitch about the head's own ear axis first, then yaw: the muzzle's height in the picture
        # then depends on pitch alone, and its side on yaw.
        self._head.rotation_euler = (
            -factors.PITCH_MAX_RAD * by_name["pitch"],
            0.0,
            factors.YAW_MAX_RAD * by_name["yaw"],
        )
        for name in ("ear_size", "muzzle_length"):
            self._head.data.shape_keys.key_blocks[name].value = by_name[name]
        low, high = factors.LIGHT_ELEVATION_RAD
        elevation = low + (high - low) * (by_name["light_elevation"] + 1.0) / 2.0
        azimuth = factors.LIGHT_AZIMUTH_MAX_RAD * by_name["light_azimuth"]
        # A sun shines along its -Z; at rest on the camera's side it points along +Y.
        self._sun.rotation_euler = (math.pi / 2.0 - elevation, 0.0, azimuth)
        self._set_colours(by_name)

    def render(self, path: Path) -> None:
        """Write the picture to `path` as an 8-bit RGB PNG."""
        bpy.context.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)

    def landmarks(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Where the landmarks are in the picture and whether the camera sees them.

        Returns `L x 2` float32, pixels (x, y) with the origin top-left, and `L` bool, both in the
        order of `LANDMARKS`.
        """
        graph = bpy.context.evaluated_depsgraph_get()
        head = self._head.evaluated_get(graph)
        mesh = head.to_mesh()
        matrix = head.matrix_world
        eye = self._camera.matrix_world.translation
        points = [matrix @ mesh.vertices[index].co for index in self._landmarks.values()]
        head.to_mesh_clear()
        half_width = math.tan(self._camera.data.angle / 2.0)
        pixels = []
        visible = []
        for point in points:
            depth = point.y - eye.y
            pixels.append(
                (
                    (point.x / (depth * half_width) + 1.0) * self._size_px / 2.0,
                    (1.0 - point.z / (depth * half_width)) * self._size_px / 2.0,
                )
            )
            visible.append(self._sees(graph, eye, point))
        return np.array(pixels, dtype=np.float32), np.array(visible)

    def _sees(self, graph: bpy.types.Depsgraph, eye: Vector, point: Vector) -> bool:
        direction = point - eye
        hit, location, *_ = bpy.context.scene.ray_cast(graph, eye, direction.normalized())
        return not hit or (location - eye).length > direction.length - 0.05

    def _paint_parts(self) -> None:
        """Per-vertex weights that the materials read: a lighter muzzle, a dark nose, pupils."""
        mesh = self._head.data
        x, y, z = self._coordinates.T
        nose = self._coordinates[LANDMARKS["nose"]]
        from_nose = np.linalg.norm((self._coordinates - nose) * (0.8, 1.0, 1.2), axis=1)
        lighter = _smoothstep(-0.05, -0.3, z) * _smoothstep(-0.3, -0.55, y)
        lighter *= _smoothstep(0.6, 0.45, np.abs(x))
        pupil = np.ones(len(x))
        islands = _islands(mesh)
        for label in np.unique(islands):
            members = np.flatnonzero(islands == label)
            if len(members) == _EYE_VERTICES:
                front = members[np.argmin(y[members])]
                self._landmarks["eye_left" if x[front] > 0.0 else "eye_right"] = int(front)
                distance = np.linalg.norm(self._coordinates - self._coordinates[front], axis=1)
                pupil[members] = distance[members]
        for name, weights in (
            ("lighter", lighter),
            ("nose", _smoothstep(0.22, 0.1, from_nose)),
            ("pupil", pupil),
        ):
            attribute = mesh.attributes.new(name, "FLOAT", "POINT")
            attribute.data.foreach_set("value", weights.astype(np.float32))
        self._eye_islands = np.bincount(islands, minlength=len(x))[islands] == _EYE_VERTICES

    def _make_fur(self) -> bpy.types.NodeSocket:
        """Material of everything but the eyes; returns the socket that takes the colour."""
        material = bpy.data.materials.new("Fur")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        nodes.clear()
        colour = nodes.new("ShaderNodeRGB")
        surface = colour.outputs[0]
        for name, target, share in (("lighter", 1.0, 0.45), ("nose", 0.02, 0.85)):
            weight = nodes.new("ShaderNodeAttribute")
            weight.attribute_name = name
            scaled = nodes.new("ShaderNodeMath")
            scaled.operation = "MULTIPLY"
            scaled.inputs[1].default_value = share
            mix = nodes.new("ShaderNodeMixRGB")
            mix.inputs["Color2"].default_value = (target, target, target, 1.0)
            links.new(weight.outputs["Fac"], scaled.inputs[0])
            links.new(scaled.outputs[0], mix.inputs["Fac"])
            links.new(surface, mix.inputs["Color1"])
            surface = mix.outputs[0]
        self._finish_material(material, surface)
        self._head.data.materials.append(material)
        return colour.outputs[0]

    def _make_eyes(self) -> bpy.types.NodeSocket:
        """Material of the two eye islands; returns the socket that takes the colour."""
        material = bpy.data.materials.new("Eye")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        nodes.clear()
        distance = nodes.new("ShaderNodeAttribute")
        distance.attribute_name = "pupil"
        outside = nodes.new("ShaderNodeMath")
        outside.operation = "GREATER_THAN"
        outside.inputs[1].default_value = 0.13
        mix = nodes.new("ShaderNodeMixRGB")
        mix.inputs["Color1"].default_value = (0.01, 0.01, 0.01, 1.0)
        links.new(distance.outputs["Fac"], outside.inputs[0])
        links.new(outside.outputs[0], mix.inputs["Fac"])
        self._finish_material(material, mix.outputs[0])
        self._head.data.materials.append(material)
        for polygon in self._head.data.polygons:
            polygon.material_index = int(self._eye_islands[polygon.vertices[0]])
        return mix.inputs["Color2"]

    @staticmethod
    def _finish_material(material: bpy.types.Material, colour: bpy.types.NodeSocket) -> None:
        nodes, links = material.node_tree.nodes, material.node_tree.links
        diffuse = nodes.new("ShaderNodeBsdfDiffuse")
        output = nodes.new("ShaderNodeOutputMaterial")
        links.new(colour, diffuse.inputs["Color"])
        links.new(diffuse.outputs[0], output.inputs["Surface"])

    def _add_shape_keys(self) -> None:
        """One shape key for each factor of shape, with values in [-1, 1]."""
        x, y, z = self._coordinates.T
        side = np.sign(x)
        root = np.stack([0.85 * side, np.full_like(x, 0.25), np.full_like(x, 0.15)], axis=1)
        ear = _smoothstep(0.75, 0.95, np.abs(x)) * _smoothstep(-0.1, 0.15, y)
        muzzle = _smoothstep(0.0, -0.3, z) * _smoothstep(-0.25, -0.65, y)
        muzzle *= _smoothstep(0.7, 0.4, np.abs(x))
        forward = np.array([0.0, -0.22, -0.05])
        self._head.shape_key_add(name="Basis")
        for name, offsets in (
            ("ear_size", 0.3 * ear[:, None] * (self._coordinates - root)),
            ("muzzle_length", muzzle[:, None] * forward),
        ):
            key = self._head.shape_key_add(name=name)
            key.slider_min, key.slider_max = -1.0, 1.0
            key.data.foreach_set("co", (self._coordinates + offsets).ravel())

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
        data.lens = 70.0
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
