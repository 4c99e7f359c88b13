# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a new image is put, and which seed it has."""

from __future__ import annotations

import math
import types
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Quaternion
from support import SceneCase, ours


def _view(rotation: Any, perspective: str = "ORTHO") -> Any:
    """Return what ``free_place`` reads of a ``RegionView3D``."""
    return types.SimpleNamespace(view_rotation=rotation, view_perspective=perspective)


# Straight down; the front; and Blender's first view, from the right, the front and above.
_TOP = Quaternion((1.0, 0.0, 0.0, 0.0))
_FRONT = Euler((math.pi / 2.0, 0.0, 0.0)).to_quaternion()
_OBLIQUE = Euler((math.radians(63.0), 0.0, math.radians(47.0))).to_quaternion()


class FirstImageTest(SceneCase):
    def cube(self, size: float, location: tuple[float, float, float]) -> Any:
        """Add a cube, and return its object."""
        bpy.ops.mesh.primitive_cube_add(size=size, location=location)
        return bpy.context.object

    def place(self, view: Any = None) -> Any:
        return ours("scene.free_place").find(bpy.context, view)

    def test_an_image_faces_an_orthographic_view_along_an_axis(self) -> None:
        np.testing.assert_allclose(self.place(_view(_TOP)).rotation, (0, 0, 0), atol=1e-6)
        front = self.place(_view(_FRONT)).rotation
        np.testing.assert_allclose(front, (math.pi / 2, 0, 0), atol=1e-6)
        np.testing.assert_allclose(self.place().rotation, (math.pi / 2, 0, 0), atol=1e-6)

    def test_an_image_stands_and_is_turned_to_the_viewer_in_other_views(self) -> None:
        turned = np.degrees(self.place(_view(_OBLIQUE, "PERSP")).rotation)
        np.testing.assert_allclose(turned, (90, 0, 45), atol=1e-4)
        # The same rotation in an orthographic view is not along an axis.
        np.testing.assert_allclose(np.degrees(self.place(_view(_OBLIQUE)).rotation), turned)
        behind = Euler((math.radians(80), 0, math.radians(181))).to_quaternion()
        turned = np.degrees(self.place(_view(behind, "PERSP")).rotation)
        np.testing.assert_allclose(abs(turned), (90, 0, 180), atol=1e-4)

    def test_an_image_lies_if_it_is_seen_from_above_or_below(self) -> None:
        steep = Euler((math.radians(20), 0, math.radians(90))).to_quaternion()
        lying = np.degrees(self.place(_view(steep, "PERSP")).rotation)
        np.testing.assert_allclose(lying, (0, 0, 90), atol=1e-4)
        below = Euler((math.radians(170), 0, 0)).to_quaternion()
        lying = np.degrees(self.place(_view(below, "PERSP")).rotation)
        np.testing.assert_allclose(lying, (180, 0, 0), atol=1e-4)

    def test_an_image_is_beside_what_is_there(self) -> None:
        np.testing.assert_allclose(self.place(_view(_FRONT)).location, (0, 0, 0), atol=1e-6)
        self.cube(2.0, (0.0, 0.0, 0.0))
        np.testing.assert_allclose(self.place(_view(_FRONT)).location, (2.2, 0, 0), atol=1e-5)
        self.cube(2.0, (3.0, 0.0, 0.0))
        np.testing.assert_allclose(self.place(_view(_FRONT)).location, (5.2, 0, 0), atol=1e-5)

    def test_what_is_hidden_or_has_no_surface_takes_no_room(self) -> None:
        self.cube(2.0, (0.0, 0.0, 0.0)).hide_set(True)
        bpy.ops.object.camera_add(location=(0.0, 0.0, 0.0))
        np.testing.assert_allclose(self.place(_view(_FRONT)).location, (0, 0, 0), atol=1e-6)

    def test_an_image_is_above_a_floor_that_goes_on_for_ever(self) -> None:
        bpy.ops.mesh.primitive_plane_add(size=1000.0)
        np.testing.assert_allclose(self.place(_view(_FRONT)).location, (0, 0, 1.2), atol=1e-4)

    def test_the_next_image_is_beside_the_last_and_has_the_next_seed(self) -> None:
        self.use_fake_engine()
        first_seed = ours("properties.image").DEFAULT_SEED
        for _ in range(2):
            self.assertEqual(bpy.ops.draggan.new_image(), {"FINISHED"})
        first, second = sorted(ours("scene.planes").everywhere(), key=lambda one: one.name)
        self.assertEqual(first.draggan.source.seed, first_seed)
        self.assertEqual(second.draggan.source.seed, first_seed + 1)
        self.assertEqual(bpy.context.object, second)
        self.assertAlmostEqual((second.location - first.location).length, 2.2, places=4)

    def test_a_location_and_a_seed_that_are_given_are_used(self) -> None:
        self.use_fake_engine()
        self.cube(2.0, (1.0, 2.0, 3.0))
        for _ in range(2):
            bpy.ops.draggan.new_image(seed=7, location=(1.0, 2.0, 3.0), rotation=(0.0, 0.5, 0.0))
        for plane in ours("scene.planes").everywhere():
            self.assertEqual(tuple(plane.location), (1.0, 2.0, 3.0))
            self.assertEqual(plane.rotation_euler.y, 0.5)
            self.assertEqual(plane.draggan.source.seed, 7)
