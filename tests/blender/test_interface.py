# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus, the lines of sentences in the sidebar, and the list of pairs, without a window."""

from __future__ import annotations

import types

import blf
import bpy
from recording_layout import RecordingLayout
from support import SceneCase, ours


class InterfaceTest(SceneCase):
    def test_every_entry_of_the_menus_is_an_operator_with_a_label(self) -> None:
        menus = ours("ui.menus")
        drawn = types.SimpleNamespace(layout=RecordingLayout())
        menus.DRAGGAN_MT_image.draw(drawn, bpy.context)
        menus._draw_add(drawn, bpy.context)
        self.assertGreater(len(drawn.layout.operators), 10)
        for name in drawn.layout.operators:
            group, _, function = name.partition(".")
            operator = getattr(getattr(bpy.ops, group), function)
            self.assertTrue(operator.get_rna_type().name)

    def test_blender_s_menus_have_the_entries_once_and_the_image_s_only_for_an_image(self) -> None:
        menus = ours("ui.menus")
        for name, draw in menus._ENTRIES:
            self.assertEqual(getattr(bpy.types, name)._dyn_ui_initialize().count(draw), 1)
        drawn = types.SimpleNamespace(layout=RecordingLayout())
        menus._draw_object(drawn, bpy.context)
        self.assertEqual(drawn.layout.menus, [])
        plane = ours("scene.planes").create(bpy.context)
        bpy.context.view_layer.objects.active = plane
        menus._draw_object(drawn, bpy.context)
        self.assertEqual(drawn.layout.menus, ["DRAGGAN_MT_image"])

    def test_a_sentence_is_broken_into_lines_that_fit(self) -> None:
        text = ours("ui.panels.text")
        sentence = "Reached the targets: 34 images from 8 steps, 0.0 px left, 2.4 s " + "W" * 60
        blf.size(0, 11)
        for width_px in (90.0, 200.0, 5000.0):
            lines = text.lines_of(sentence, width_px)
            self.assertEqual(" ".join(lines), sentence)
            wide = [line for line in lines if text.width_of(line) > width_px]
            self.assertTrue(all(" " not in line for line in wide), wide)
        self.assertEqual(len(text.lines_of(sentence, 5000.0)), 1)
        self.assertGreater(len(text.lines_of(sentence, 90.0)), len(text.lines_of(sentence, 200.0)))
        self.assertEqual(text.lines_of("", 90.0), [""])

    def test_pairs_have_different_names_and_the_list_says_which_point_is_gone(self) -> None:
        points, plane = ours("scene.points"), ours("scene.planes").create(bpy.context)
        for _ in range(3):
            points.add_pair(plane, (0.25, 0.5), (0.5, 0.5))
        points.remove_pair(plane, 0)
        points.add_pair(plane, (0.25, 0.5), (0.5, 0.5))
        pairs = plane.draggan.pairs
        self.assertEqual([pair.name for pair in pairs], ["Pair 2", "Pair 3", "Pair 1"])
        self.assertEqual(plane.draggan.active_pair, 2)
        bpy.data.objects.remove(pairs[1].target)
        lines = []
        for pair in pairs:
            layout = RecordingLayout()
            draw = ours("ui.panels.points").DRAGGAN_UL_pairs.draw_item
            draw(None, bpy.context, layout, None, pair, 0, None, "")
            lines.append((layout.labels, (pair, "name") in layout.properties))
        self.assertEqual(lines, [([], True), (["Pair 3: no target"], False), ([], True)])
