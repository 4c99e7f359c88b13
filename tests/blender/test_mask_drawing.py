# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing a mask with the Pull tool, and the place under the mouse."""

from __future__ import annotations

from inspect import isfunction
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import numpy as np
from mask_case import MaskCase, levels
from mathutils import Euler, Matrix, Vector
from support import ours


class DrawingTest(MaskCase):
    """Shift-drag with the Pull tool, by its events; ``tools/pull_pictures.py`` has a real mouse."""

    def draw(
        self, kind: str, places: Any, *, under: Any = None, error: str = "", **keys: bool
    ) -> set[str]:
        """Draw over a view in which the image fills 100 x 100 px, and return the result."""
        module = ours("ui.operators.mask_draw")
        shown = module.DRAGGAN_OT_mask_draw
        functions = {name: value for name, value in vars(shown).items() if isfunction(value)}
        drawing: Any = type("Drawing", (), functions)()
        drawing.kind, drawing.how = kind, "REPLACE"
        drawing.starts_at_once = keys.get("starts", True)
        drawing.bl_label, drawing._uuid = shown.bl_label, self.plane.draggan.uuid
        drawing._path, drawing._view, drawing._is_drawing = [], None, False
        drawing.errors = []
        drawing.report = lambda _kind, text: drawing.errors.append(text)
        drawing._finish = lambda _context, result: result
        region = SimpleNamespace(x=0, y=0, width=100, height=100)
        area = SimpleNamespace(tag_redraw=lambda: None)
        context: Any = SimpleNamespace(
            area=area,
            region=region,
            object=self.plane,
            view_layer=bpy.context.view_layer,
            selected_objects=bpy.context.selected_objects,
        )
        events = [
            SimpleNamespace(
                type="MOUSEMOVE",
                value="NOTHING",
                mouse_x=x,
                mouse_y=y,
                shift=keys.get("shift", True),
                ctrl=keys.get("ctrl", False),
            )
            for x, y in places
        ]
        events[-1].type, events[-1].value = "LEFTMOUSE", "RELEASE"
        with (
            mock.patch.object(module.pointing, "view_index", return_value=0),
            mock.patch.object(module.pointing, "view_of", return_value=(region, None)),
            mock.patch.object(module.pointing, "plane_at", return_value=under),
            mock.patch.object(
                module.pointing,
                "uv_at",
                side_effect=lambda _plane, _region, _view, at: (at[0] / 100.0, at[1] / 100.0),
            ),
        ):
            self.assertTrue(drawing._start(context, events[0]))
            for event in events[1:]:
                result = drawing.modal(context, event)
        self.assertEqual(len(drawing.errors), len(error and [error]))
        self.assertIn(error, "".join(drawing.errors))
        return set(result)

    def mean(self) -> float:
        return float(levels(self.plane).mean())

    def test_a_rectangle_is_a_new_mask_and_one_undo_step(self) -> None:
        self.assertEqual(self.draw("BOX", [(0, 0), (80, 20), (50, 100)]), {"FINISHED"})
        self.assertAlmostEqual(self.mean(), 0.5)
        self.assertTrue(self.plane.draggan.show_mask)
        self.draw("BOX", [(50, 0), (100, 50)])
        self.assertAlmostEqual(self.mean(), 0.75)
        self.undo()
        self.assertAlmostEqual(self.mean(), 0.5)
        self.undo()
        self.assertIsNone(self.plane.draggan.mask)
        self.redo()
        self.assertAlmostEqual(self.mean(), 0.5)

    def test_ctrl_takes_away(self) -> None:
        self.draw("BOX", [(0, 0), (50, 100)])
        self.draw("BOX", [(0, 0), (50, 50)], ctrl=True)
        self.assertAlmostEqual(self.mean(), 0.25)

    def test_a_lasso_joins_its_ends(self) -> None:
        self.assertEqual(self.draw("LASSO", [(0, 0), (100, 0), (100, 100)]), {"FINISHED"})
        self.assertAlmostEqual(self.mean(), 0.5, delta=0.02)

    def test_an_outline_beside_the_image_is_refused(self) -> None:
        places = [(200, 10), (300, 90)]
        self.assertEqual(
            self.draw("BOX", places, error="does not lie over the image"), {"CANCELLED"}
        )
        self.assertIsNone(self.plane.draggan.mask)

    def test_the_tool_draws_on_the_image_under_the_mouse(self) -> None:
        other = ours("scene.copies").duplicate(bpy.context, self.plane)
        bpy.context.view_layer.update()
        self.assertEqual(self.draw("BOX", [(10, 10), (60, 90)], under=other), {"FINISHED"})
        self.assertIsNone(self.plane.draggan.mask)
        self.assertIsNotNone(other.draggan.mask)
        self.assertEqual(bpy.context.view_layer.objects.active, other)

    def test_a_tiny_outline_masks_nothing(self) -> None:
        self.assertEqual(self.draw("BOX", [(50, 50), (52, 51)], starts=False), {"CANCELLED"})
        self.assertIsNone(self.plane.draggan.mask)


class PointingTest(MaskCase):
    def test_the_ray_through_a_place_of_a_turned_plane_finds_its_uv(self) -> None:
        self.plane.matrix_world = (
            Matrix.Translation((1.0, -2.0, 0.5))
            @ Euler((0.7, -0.4, 1.1)).to_matrix().to_4x4()
            @ Matrix.Diagonal((1.5, 0.6, 1.0, 1.0))
        )
        bpy.context.view_layer.update()
        region = SimpleNamespace(width=640, height=480)
        eye = Matrix.Translation((3.0, -6.0, 5.0)) @ Euler((0.8, 0.0, 0.45)).to_matrix().to_4x4()
        width, height = ours("scene.view").plane_size(*self.plane.draggan.size)
        for is_perspective in (True, False):
            window = (
                Matrix.Diagonal((1.5, 2.0, -1.0, 1.0))
                if is_perspective
                else Matrix.Diagonal((0.15, 0.2, -0.01, 1.0))
            )
            if is_perspective:
                window[2][3], window[3][2], window[3][3] = -0.2, -1.0, 0.0
            region_3d = SimpleNamespace(
                is_perspective=is_perspective,
                view_matrix=eye.inverted(),
                perspective_matrix=window @ eye.inverted(),
                window_matrix=window,
                view_perspective="PERSP" if is_perspective else "ORTHO",
            )
            for u, v in ((0.1, 0.2), (0.5, 0.5), (1.2, 0.9)):
                local = Vector(((u - 0.5) * width, (v - 0.5) * height, 0.0, 1.0))
                seen = region_3d.perspective_matrix @ self.plane.matrix_world @ local
                place = (
                    region.width * (0.5 + 0.5 * seen.x / seen.w),
                    region.height * (0.5 + 0.5 * seen.y / seen.w),
                )
                found = ours("scene.pointing").uv_at(self.plane, region, region_3d, place)
                np.testing.assert_allclose(found, (u, v), atol=1e-4)
