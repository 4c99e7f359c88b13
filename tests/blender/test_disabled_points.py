# SPDX-License-Identifier: GPL-3.0-or-later
"""Points that are disabled in viewports or excluded: Blender does not evaluate them."""

from __future__ import annotations

import bpy
from support import ours
from test_points import PointsCase


class DisabledTest(PointsCase):
    def setUp(self) -> None:
        super().setUp()
        self.pair = self.points.add_pair(self.plane, (0.4, 0.5), (0.5, 0.5))
        bpy.context.view_layer.update()

    def disable(self, how: str) -> None:
        (collection,) = self.plane.users_collection
        if how == "monitor":
            self.pair.handle.hide_viewport = self.pair.target.hide_viewport = True
        elif how == "collection":
            collection.hide_viewport = True
        else:
            layers = bpy.context.view_layer.layer_collection.children
            layers[collection.name].exclude = True
        bpy.context.view_layer.update()

    def test_a_drag_reads_disabled_points_where_they_are(self) -> None:
        names = {item.name for item in bpy.data.objects}
        for number, how in enumerate(("monitor", "collection", "exclude")):
            with self.subTest(how):
                self.disable(how)
                # The middle of the image is 0, and a side has the length 2.
                self.pair.handle.location.x = 0.25 + 0.125 * number
                for frame, x in ((1, 0.0), (10, 0.5 + 0.125 * number)):
                    self.pair.target.location.x = x
                    self.pair.target.keyframe_insert("location", frame=frame)
                bpy.context.scene.frame_set(1)
                bpy.context.scene.frame_set(10)
                (placed,) = self.placed()
                self.assertAlmostEqual(placed.handle_px[0], 32 + 32 * (0.25 + 0.125 * number), 0)
                self.assertAlmostEqual(placed.target_px[0], 32 + 32 * (0.5 + 0.125 * number), 0)
                self.assertEqual({item.name for item in bpy.data.objects}, names)

    def test_a_running_drag_keeps_the_last_place_of_a_target_that_is_disabled(self) -> None:
        read_usable = ours("scene.placed_pairs").read_usable
        ((_, placed),) = read_usable(bpy.context, self.plane)
        self.assertIsNotNone(placed)
        self.disable("monitor")
        self.assertEqual([found for _, found in read_usable(bpy.context, self.plane)], [None])
        # One that is only hidden is evaluated.
        self.pair.handle.hide_viewport = self.pair.target.hide_viewport = False
        self.pair.target.hide_set(True)
        self.pair.target.location.x = 0.25
        bpy.context.view_layer.update()
        ((_, placed),) = read_usable(bpy.context, self.plane)
        self.assertAlmostEqual(placed.target_px[0], 40.0, 0)
        self.disable("monitor")
        # A gesture says where the target is.
        held = {self.pair.key: (0.5, 0.0)}
        ((_, placed),) = read_usable(bpy.context, self.plane, held)
        self.assertAlmostEqual(placed.target_px[0], 48.0, 0)
