# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame that two clicked places make, by their pixels and by clicks in a view."""

from __future__ import annotations

import math
from inspect import isfunction
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
from support import SceneCase, ours

WIDTH, HEIGHT = 300, 200


class TwoPlacesTest(SceneCase):
    def setUp(self) -> None:
        """Make an image, and give it a picture as if it had been made from it."""
        super().setUp()
        self.use_fake_engine()
        self.plane = self.new_plane()
        bpy.context.view_layer.objects.active = self.plane
        self.plane.draggan.own.picture = bpy.data.images.new("Holiday", WIDTH, HEIGHT)

    def frame(self) -> Any:
        bpy.context.view_layer.update()
        return ours("scene.picture_frame").read(self.plane)

    def test_both_places_of_the_image_come_onto_those_of_the_picture(self) -> None:
        side = self.plane.draggan.size[0]
        done = bpy.ops.draggan.two_places(
            picture_px=(120.0, 80.0, 120.0, 140.0),
            image_px=(side / 4, side / 2, 3 * side / 4, side / 2),
        )
        self.assertEqual(done, {"FINISHED"})
        found = self.frame()
        # What lies side by side in the image is one above the other in the picture.
        self.assertAlmostEqual(found.size_px, 120.0, places=3)
        self.assertAlmostEqual(found.angle, -math.pi / 2, places=4)
        for value, expected in zip(found.centre_px, (120.0, 110.0), strict=True):
            self.assertAlmostEqual(value, expected, places=3)

    def test_places_that_say_nothing_are_refused(self) -> None:
        place = bpy.ops.draggan.two_places
        with self.assertRaisesRegex(RuntimeError, "nearly the same"):
            place(picture_px=(9.0, 9.0, 99.0, 99.0), image_px=(8.0, 8.0, 8.5, 8.5))
        with self.assertRaisesRegex(RuntimeError, "the two places are the same"):
            place(picture_px=(9.0, 9.0, 9.0, 9.0), image_px=(0.0, 8.0, 20.0, 8.0))
        with self.assertRaisesRegex(RuntimeError, "next to the picture"):
            place(picture_px=(280.0, 9.0, 299.0, 9.0), image_px=(0.0, 8.0, 20.0, 8.0))
        self.assertFalse(ours("scene.picture_frame").is_shown(self.plane))

    def test_clicks_are_taken_in_turn_and_only_where_they_are_meant(self) -> None:
        module = ours("ui.operators.two_places")
        ours("scene.picture_frame").show(self.plane)
        own = self.plane.draggan.own
        functions = {
            name: value
            for name, value in vars(module.DRAGGAN_OT_two_places).items()
            if isfunction(value)
        }
        clicking: Any = type("Clicking", (), functions)()
        clicking._uuid, clicking._found, clicking._shown = self.plane.draggan.uuid, [], []
        said: list[str] = []
        clicking.report = lambda _kind, text: said.append(text)
        clicking._finish = lambda _context, result: result
        region = SimpleNamespace(x=0, y=0)
        area = SimpleNamespace(tag_redraw=lambda: None, header_text_set=said.append)
        flats = []

        def click(local: tuple[float, float]) -> set[str]:
            def hit(flat: Any, *_view: Any) -> tuple[float, float]:
                flats.append(flat)
                return local

            event = SimpleNamespace(type="LEFTMOUSE", value="PRESS", mouse_x=0, mouse_y=0)
            with (
                mock.patch.object(module.pointing, "view_index", return_value=0),
                mock.patch.object(module.pointing, "view_of", return_value=(region, None)),
                mock.patch.object(module.pointing, "local_at", hit),
                mock.patch.object(module.planes, "require_active", return_value=self.plane),
            ):
                result: set[str] = clicking.modal(SimpleNamespace(area=area), event)
            return result

        # The board is two units wide; so is the image.
        self.assertEqual(click((-2.0, 0.0)), {"RUNNING_MODAL"})
        self.assertRegex(said[0], "not on the picture")
        click((-0.5, 0.0))
        click((-0.5, 0.0))
        click((0.5, 0.0))
        self.assertEqual(click((0.5, 0.0)), {"FINISHED"})
        self.assertEqual(clicking.picture_px, (75.0, 100.0, 225.0, 100.0))
        self.assertEqual(flats, [own.board, own.board, self.plane, own.board, self.plane])
        found = self.frame()
        self.assertAlmostEqual(found.size_px, WIDTH, places=3)
        self.assertAlmostEqual(found.centre_px[1], HEIGHT / 2, places=3)
