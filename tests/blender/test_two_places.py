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
        clicking._uuid, clicking._found, clicking._worlds = self.plane.draggan.uuid, [], []
        said: list[str] = []
        clicking._shown = SimpleNamespace(say=said.append)
        clicking.report = lambda _kind, text: said.append(text)
        clicking._finish = lambda _context, result: result
        region = SimpleNamespace(x=0, y=0)
        area = SimpleNamespace()
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

    def test_what_lies_over_the_view_takes_its_clicks(self) -> None:
        view_index = ours("scene.pointing").view_index

        def region(kind: str, x: int, width: int) -> Any:
            return SimpleNamespace(type=kind, x=x, y=0, width=width, height=100)

        bars = [region("TOOLS", 0, 20), region("UI", 70, 30), region("HUD", 50, 1)]
        area = SimpleNamespace(regions=[*bars, region("WINDOW", 0, 100)])
        found = [view_index(area, x, 50) for x in (10, 50, 75, 120)]
        self.assertEqual(found, [0, 0, None, None])

    def test_what_an_operator_shows_goes_with_the_extension(self) -> None:
        lines = ours("ui.lines")
        said: list[Any] = []
        window = SimpleNamespace(cursor_modal_set=said.append, cursor_modal_restore=lambda: None)
        area = SimpleNamespace(
            as_pointer=lambda: 1, header_text_set=said.append, tag_redraw=lambda: None
        )
        context: Any = SimpleNamespace(window=window, area=area)
        shown = lines.Shown(context, "LINES", list, "Click")
        self.assertTrue(lines.is_shown())
        self.assertEqual(said, ["CROSSHAIR", "Click"])
        lines.unregister()
        self.assertFalse(lines.is_shown())
        shown.end(context)  # once more, by the operator
