# SPDX-License-Identifier: GPL-3.0-or-later
"""Anti-aliasing is off while a person pulls and the CPU draws, and always given back."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import bpy
import support
from support import SceneCase, ours

_MODES = ("FXAA", "5", "8", "11", "16", "32")


def _platform(kind: str, name: str) -> Any:
    """Return a ``gpu`` module that says what draws."""
    return SimpleNamespace(
        platform=SimpleNamespace(device_type_get=lambda: kind, renderer_get=lambda: name)
    )


class PlainViewsCase(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.views = ours("ui.plain_views")
        self.preferences: Any = bpy.context.preferences
        self.addCleanup(setattr, self.views, "gpu", self.views.gpu)
        self.addCleanup(setattr, self.preferences.system, "viewport_aa", "8")
        self.addCleanup(self.views.end)
        self.preferences.system.viewport_aa = "8"
        self.draw_with("SOFTWARE", "llvmpipe (LLVM 20.1.8, 256 bits)")

    def draw_with(self, kind: str, name: str) -> None:
        self.views.gpu = _platform(kind, name)

    def antialiasing(self) -> str:
        mode: str = self.preferences.system.viewport_aa
        return mode


class PlainViewsTest(PlainViewsCase):
    def test_every_mode_is_given_back_and_the_preferences_are_marked_as_before(self) -> None:
        for mode in _MODES:
            for is_dirty in (False, True):
                with self.subTest(mode=mode, is_dirty=is_dirty):
                    self.preferences.system.viewport_aa = mode
                    self.preferences.is_dirty = is_dirty
                    self.views.begin()
                    self.assertEqual(
                        (self.antialiasing(), self.preferences.is_dirty), ("OFF", is_dirty)
                    )
                    self.views.begin()
                    self.views.end()
                    self.assertEqual(
                        (self.antialiasing(), self.preferences.is_dirty), (mode, is_dirty)
                    )

    def test_preferences_that_are_changed_meanwhile_stay_marked(self) -> None:
        self.preferences.is_dirty = False
        self.views.begin()
        self.preferences.is_dirty = True
        self.views.end()
        self.assertTrue(self.preferences.is_dirty)

    def test_what_somebody_else_sets_meanwhile_stays(self) -> None:
        self.views.begin()
        self.preferences.system.viewport_aa = "16"
        self.views.end()
        self.assertEqual(self.antialiasing(), "16")
        self.preferences.system.viewport_aa = "OFF"
        self.views.begin()
        self.preferences.system.viewport_aa = "FXAA"
        self.preferences.system.viewport_aa = "OFF"
        self.views.end()
        self.assertEqual(self.antialiasing(), "OFF")

    def test_only_programs_that_draw_on_the_cpu_count(self) -> None:
        for kind, name, is_plain in (
            ("SOFTWARE", "llvmpipe (LLVM 20.1.8, 256 bits)", True),
            ("UNKNOWN", "Mesa softpipe", True),
            ("UNKNOWN", "Google SwiftShader", True),
            ("UNKNOWN", "Microsoft Basic Render Driver", True),
            ("APPLE", "Apple Software Renderer", True),
            ("NVIDIA", "NVIDIA GeForce RTX 4090/PCIe/SSE2", False),
            ("INTEL", "Mesa Intel(R) UHD Graphics 620 (KBL GT2)", False),
            ("APPLE", "Apple M3", False),
        ):
            with self.subTest(name=name):
                self.draw_with(kind, name)
                self.views.begin()
                self.assertEqual(self.antialiasing(), "OFF" if is_plain else "8")
                self.views.end()
                self.assertEqual(self.antialiasing(), "8")

    def test_without_views_nothing_is_changed(self) -> None:
        import gpu

        if not bpy.app.background:
            self.skipTest("needs a Blender without a window")
        self.views.gpu = gpu
        self.assertFalse(self.views.draws_on_cpu())
        self.views.begin()
        self.assertEqual(self.antialiasing(), "8")

    def test_the_person_can_keep_it(self) -> None:
        own = ours("preferences").get()
        self.addCleanup(setattr, own, "plain_pulls", True)
        own.plain_pulls = False
        self.views.begin()
        self.assertEqual(self.antialiasing(), "8")
        # A gesture that has begun is ended as it began.
        own.plain_pulls = True
        self.views.begin()
        self.assertEqual(self.antialiasing(), "OFF")
        own.plain_pulls = False
        self.views.end()
        self.assertEqual(self.antialiasing(), "8")

    def test_another_file_in_the_middle_gives_it_back(self) -> None:
        self.views.begin()
        self.assertEqual(self.antialiasing(), "OFF")
        bpy.ops.wm.read_homefile(use_empty=True)
        self.assertEqual(self.antialiasing(), "8")

    def test_a_disabled_extension_gives_it_back(self) -> None:
        self.views.begin()
        self.addCleanup(setattr, self, "views", self.views)
        self.addCleanup(support.enable)
        support.disable()
        self.assertEqual(self.antialiasing(), "8")


class GestureTest(PlainViewsCase):
    """The operator itself, called as Blender calls it."""

    def gesture(self, plane: Any) -> Any:
        """Return an operator that holds a place of an image."""
        pull, gestures = ours("jobs.pull"), ours("ui.gesture")
        operator = ours("ui.operators.pull").DRAGGAN_OT_pull
        held = SimpleNamespace(
            _pull=pull.Pull(plane, (0.4, 0.5), -1, pull.Part.IMAGE),
            _gesture=gestures.Gesture(
                (100.0, 100.0),
                start=(100.0, 100.0),
                start_px=(50.0, 50.0),
                threshold=3.0,
                shape=gestures.Shape(0.0, 0.0, 1.0),
                units_per_px=0.01,
                can_be_region=True,
            ),
            _pacing=ours("ui.pacing").Pacing(),
            _chosen="",
            _timer=None,
            _is_released=False,
            report=lambda *_arguments: None,
        )
        for name in ("_handle", "_move", "_release", "_choose", "_give_up", "_end", "_wait"):
            setattr(held, name, partial(getattr(operator, name), held))
        held.send = partial(operator.modal, held)
        return held

    def context(self) -> Any:
        """Return a context with a view from above."""
        return _Context()

    def prepared(self) -> Any:
        self.use_fake_engine("--steps", "2000")
        plane = self.new_plane()
        pointing = ours("scene.pointing")
        self.addCleanup(setattr, pointing, "uv_at", pointing.uv_at)
        pointing.uv_at = lambda _plane, _region, _view, place: (place[0] / 200, place[1] / 200)
        held = self.gesture(plane)
        held.send(self.context(), _event("MOUSEMOVE", "NOTHING", 101.0))
        self.assertEqual(self.antialiasing(), "8", "a click needs no quick views")
        held.send(self.context(), _event("MOUSEMOVE", "NOTHING", 120.0))
        self.assertEqual(self.antialiasing(), "OFF")
        return held

    def test_a_release_gives_it_back(self) -> None:
        held = self.prepared()
        result = held.send(self.context(), _event("LEFTMOUSE", "RELEASE", 120.0))
        self.assertEqual((result, self.antialiasing()), ({"FINISHED"}, "8"))

    def test_escape_gives_it_back(self) -> None:
        held = self.prepared()
        result = held.send(self.context(), _event("ESC", "PRESS", 120.0))
        self.assertEqual((result, self.antialiasing()), ({"CANCELLED"}, "8"))

    def test_an_image_that_is_deleted_gives_it_back(self) -> None:
        held = self.prepared()
        bpy.data.objects.remove(held._pull.plane())
        result = held.send(self.context(), _event("MOUSEMOVE", "NOTHING", 130.0))
        self.assertEqual((result, self.antialiasing()), ({"CANCELLED"}, "8"))

    def test_a_defect_gives_it_back(self) -> None:
        held = self.prepared()

        def fail(*_arguments: Any) -> None:
            raise ZeroDivisionError

        held._move = fail
        with self.assertRaises(ZeroDivisionError):
            held.send(self.context(), _event("MOUSEMOVE", "NOTHING", 140.0))
        self.assertEqual(self.antialiasing(), "8")

    def test_blender_ending_the_operator_gives_it_back(self) -> None:
        held = self.prepared()
        ours("ui.operators.pull").DRAGGAN_OT_pull.cancel(held, self.context())
        self.assertEqual(self.antialiasing(), "8")


class _Context:
    """Blender's context, with a 3D view, which it does not have without a window."""

    region = SimpleNamespace(width=200, height=200)
    region_data = SimpleNamespace()
    window = None
    workspace = SimpleNamespace(status_text_set=lambda _text: None)

    def __getattr__(self, name: str) -> Any:
        return getattr(bpy.context, name)


def _event(kind: str, value: str, x: float) -> Any:
    return SimpleNamespace(
        type=kind,
        value=value,
        mouse_region_x=x,
        mouse_region_y=100.0,
        shift=False,
        ctrl=False,
        alt=False,
        oskey=False,
        ascii="",
        unicode="",
        is_tablet=False,
        pressure=1.0,
    )
