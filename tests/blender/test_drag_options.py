# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag options as properties: presets, and sizes of blocks as choices."""

from __future__ import annotations

from typing import Any

import bpy
from support import SceneCase, ours


class DragOptionsTest(SceneCase):
    def options(self) -> Any:
        return ours("scene.planes").create(bpy.context).draggan.drag

    def test_a_preset_sets_all_options_and_any_change_is_custom(self) -> None:
        drag = self.options()
        self.assertEqual(drag.preset, "BALANCED")
        drag.preset = "PAPER"
        self.assertEqual((drag.method, drag.latent_space, drag.r2), ("draggan", "w+", 12.0))
        self.assertEqual(drag.preset, "PAPER")
        drag.preset = "CAREFUL"
        self.assertEqual((drag.method, drag.r2, drag.linear_reach), ("linearised", 1.5, 1.5))
        drag.linear_reach = 2.0
        self.assertEqual(drag.preset, "CUSTOM")
        drag.preset = "CUSTOM"
        self.assertEqual(drag.linear_reach, 2.0)
        drag.preset = "BALANCED"
        self.assertEqual(ours("properties.drag").drag_settings(drag).linear_reach, 3.0)

    def test_the_sizes_of_blocks_are_choices_and_stored_as_numbers(self) -> None:
        drag = self.options()
        self.assertEqual(drag.feature_resolution_choice, "AUTOMATIC")
        drag.feature_resolution_choice = "64"
        self.assertEqual(drag.feature_resolution, 64)
        self.assertEqual(drag.preset, "CUSTOM")
        drag.mask_resolution = 256
        self.assertEqual(drag.mask_resolution_choice, "256")
        drag.feature_resolution_choice = drag.mask_resolution_choice = "AUTOMATIC"
        settings = ours("properties.drag").drag_settings(drag)
        self.assertEqual((settings.feature_resolution, settings.mask_resolution), (0, 0))

    def test_automatic_and_the_slider_replace_the_choice_of_a_space(self) -> None:
        drag, settings = self.options(), ours("properties.drag").drag_settings
        self.assertTrue(drag.is_automatic)
        self.assertEqual(settings(drag).latent_space, "automatic")
        drag.is_automatic = False
        drag.freedom = 0.25
        sent = settings(drag)
        self.assertEqual((sent.latent_space, sent.freedom), ("by_hand", 0.25))
        self.assertEqual(drag.preset, "CUSTOM")
        # What a file from before the slider, or a script, has chosen stays, and can be left.
        drag.latent_space = "w+"
        self.assertFalse(drag.is_automatic)
        self.assertEqual(settings(drag).latent_space, "w+")
        drag.is_automatic = True
        self.assertEqual(drag.latent_space, "automatic")
