# SPDX-License-Identifier: GPL-3.0-or-later
"""What the overlay shows in a view; ``tests/scene/test_overlay_data.py`` has its shapes."""

from __future__ import annotations

import types
from typing import Any
from unittest import mock

import bpy
import mathutils
import numpy as np
from support import TIMEOUT_S, SceneCase, ours

SIDE = 400


class View:
    """A view of 400 x 400 px from above, in which the plane's space reaches from -2 to 2."""

    def __init__(self, **space: Any) -> None:
        overlay = types.SimpleNamespace(show_overlays=True)
        # In a Blender without windows no view exists, and ``visible_get`` takes None for it.
        self.space_data = None
        self.space = types.SimpleNamespace(type="VIEW_3D", overlay=overlay, **space)
        # Without a window, the interface has no scale.
        self.preferences = types.SimpleNamespace(system=types.SimpleNamespace(ui_scale=1.0))
        self.region = types.SimpleNamespace(width=SIDE, height=SIDE)
        self.region_data = types.SimpleNamespace(
            perspective_matrix=mathutils.Matrix.Diagonal((0.5, 0.5, 0.01, 1.0))
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(bpy.context, name)


class OverlayTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.overlay, self.points = ours("ui.overlay"), ours("scene.points")
        self.overlay._searched = (-1, 0.0)
        self.plane = self.create()
        bpy.context.view_layer.objects.active = self.plane

    def create(self) -> Any:
        """Add a GAN image."""
        planes = ours("scene.planes")
        plane = planes.create(bpy.context)
        planes.fit_to_size(plane, 64, 64)
        plane.draggan.latent = "AAAA"
        return plane

    def read(self, view: View | None = None) -> Any:
        """Return the pairs that a view shows."""
        bpy.context.view_layer.update()
        return self.overlay.read(view or View())

    def test_points_are_where_blender_shows_them(self) -> None:
        self.points.add_pair(self.plane, (0.5, 0.5), (1.0, 0.75))
        (mark,) = self.read()
        np.testing.assert_allclose((*mark.handle, *mark.target), (200, 200, 300, 250), atol=1e-3)
        self.assertEqual((mark.number, mark.alpha, mark.size), ("1", 1.0, 200 / 260))
        self.plane.location = (0.5, 0.0, 0.0)
        self.plane.rotation_euler.z = np.pi / 2
        (mark,) = self.read()
        np.testing.assert_allclose((*mark.handle, *mark.target), (250, 200, 200, 300), atol=1e-3)

    def test_a_constraint_moves_the_marker(self) -> None:
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.75, 0.5))
        leader = bpy.data.objects.new("Leader", None)
        bpy.context.scene.collection.objects.link(leader)
        leader.location = (-1.0, -1.0, 0.0)
        pair.target.constraints.new("COPY_LOCATION").target = leader
        (mark,) = self.read()
        np.testing.assert_allclose(mark.target, (100, 100), atol=1e-3)

    def test_what_is_behind_the_viewer_is_not_drawn(self) -> None:
        self.points.add_pair(self.plane, (0.5, 0.5), (0.75, 0.5))
        view = View()
        behind = mathutils.Matrix.Identity(4)
        behind[3][3] = -1.0
        view.region_data.perspective_matrix = behind
        (mark,) = self.read(view)
        self.assertEqual((mark.handle, mark.target), (None, None))

    def test_hidden_points_and_images_are_not_drawn(self) -> None:
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.75, 0.5))
        pair.handle.hide_set(True)
        (mark,) = self.read()
        self.assertIsNone(mark.handle)
        self.assertIsNotNone(mark.target)
        self.plane.hide_set(True)
        self.assertEqual(self.read(), [])
        self.plane.hide_set(False)
        self.plane.users_collection[0].hide_viewport = True
        self.assertEqual(self.read(), [])

    def test_the_active_image_has_numbers_and_paths_and_others_are_faint(self) -> None:
        other = self.create()
        for plane in (self.plane, other):
            pair = self.points.add_pair(plane, (0.5, 0.5), (0.75, 0.5))
            ours("compat").write_fcurve(pair.handle, "location", 0, [1, 2, 3], [0.0, 0.1, 0.2])
            ours("compat").write_fcurve(pair.handle, "location", 1, [1, 2, 3], [0.0, 0.3, 0.0])
            pair.has_base = True
        faint, full = self.read()
        self.assertEqual((faint.number, faint.lines), ("", ()))
        self.assertLess(faint.alpha, full.alpha)
        (path,) = full.lines
        np.testing.assert_allclose(path, [(200, 200), (210, 230), (220, 200)], atol=1e-2)
        self.plane.draggan.pairs[0].enabled = False
        self.assertEqual(self.read()[1].alpha, faint.alpha)

    def test_a_region_has_circles_of_its_radius_and_its_turn(self) -> None:
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.75, 0.5))
        pair.radius = 0.2
        pair.target.rotation_euler.z, pair.target.scale = np.pi / 2, (2.0, 2.0, 2.0)
        (mark,) = self.read()
        circle, hand, target_circle, target_hand = mark.lines
        for line, middle, radius in ((circle, 200, 20), (target_circle, 250, 40)):
            distances = np.hypot(line[:, 0] - middle, line[:, 1] - 200)
            np.testing.assert_allclose(distances, radius, atol=1e-2)
        np.testing.assert_allclose(hand[1], (220, 200), atol=1e-2)
        np.testing.assert_allclose(target_hand[1], (250, 240), atol=1e-2)

    def test_selection_state_colour_and_pins_are_passed_on(self) -> None:
        for _ in range(2):
            self.points.add_pair(self.plane, (0.5, 0.5), (0.75, 0.5))
        self.points.add_pin(self.plane, (0.25, 0.25))
        pairs = self.plane.draggan.pairs
        self.points.set_state(pairs[1], "LOST")
        pairs[1].handle.select_set(True)
        first, second, pin = self.read()
        self.assertEqual([mark.state for mark in (first, second, pin)], ["FINE", "LOST", "FINE"])
        self.assertEqual((second.is_handle_selected, first.is_handle_selected), (True, False))
        self.assertNotEqual(first.color, second.color)
        self.assertTrue(pin.is_pin)
        self.assertEqual(pin.handle, pin.target)

    def test_reading_changes_nothing_and_a_large_file_is_not_searched_for_each_redraw(self) -> None:
        self.points.add_pair(self.plane, (0.5, 0.5), (0.75, 0.5))
        self.read()
        everywhere = mock.patch.object(
            ours("scene.planes"), "everywhere", side_effect=AssertionError
        )
        with everywhere:
            self.assertEqual(len(self.overlay.read(View())), 1)
        self.plane.name = "Renamed"
        self.overlay._searched = (-1, 0.0)
        self.assertEqual(len(self.overlay.read(View())), 1)

    def test_an_image_that_waits_for_the_engine_says_so_until_it_is_there(self) -> None:
        self.use_fake_engine()
        self.stop_engine()
        jobs, plane = ours("jobs.image"), self.plane
        plane.draggan.latent = ""
        request_id = jobs.sample(plane)
        bpy.context.view_layer.update()
        (label,) = self.overlay.texts(View())
        self.assertEqual((label.text, label.place), ("The engine is starting", (200.0, 200.0)))
        plane.hide_viewport = True
        bpy.context.view_layer.update()
        self.assertEqual(self.overlay.texts(View()), [])
        plane.hide_viewport = False
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(self.overlay.texts(View()), [])

    def test_the_overlay_can_be_switched_off(self) -> None:
        view = View()
        view.space_data = view.space
        self.assertTrue(self.overlay.is_shown(view))
        view.space.overlay.show_overlays = False
        self.assertFalse(self.overlay.is_shown(view))
        view.space.overlay.show_overlays = True
        bpy.context.scene.draggan.show_points = False
        self.assertFalse(self.overlay.is_shown(view))

    def test_an_error_while_drawing_is_logged_once_and_not_raised(self) -> None:
        broken = mock.patch.object(self.overlay, "is_shown", side_effect=ValueError("broken"))
        self.overlay._has_failed = False
        with broken, self.assertLogs(self.overlay._LOG, "ERROR") as logs:
            self.overlay._on_draw()
            self.overlay._on_draw()
        self.assertEqual(len(logs.records), 1)
        self.overlay._has_failed = False
