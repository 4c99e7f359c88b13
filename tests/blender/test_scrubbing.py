# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews of the playhead's frame, where it is not baked.

The tests call the handler and the timer, because neither runs without a window.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import bpy
import numpy as np
import rendering
from baking import BakeCase
from numpy.typing import NDArray
from support import TIMEOUT_S, ours


class ScrubbingCase(BakeCase):
    """Calls the handler and the timer as Blender does in a window."""

    def move(self, plane: Any, frame: int, rests: bool = True) -> None:
        """Do what a frame change does in a window, until the engine has answered."""
        scrubbing, pump, scene = (
            ours("timeline.scrubbing"),
            ours("connection.pump"),
            bpy.context.scene,
        )
        scene.frame_set(frame)
        scrubbing.playhead_moved(scene, bpy.context.evaluated_depsgraph_get())
        if rests:
            scrubbing.playhead_rests()
            self.assertTrue(pump.run_until(lambda now: now.active is None, TIMEOUT_S))

    def shown(self, plane: Any) -> NDArray[Any]:
        """Return the pixels of the live image, or an empty array at rest."""
        image = ours("scene.planes").texture_node(plane).image
        if image.source != "GENERATED":
            return np.zeros(0)
        pixels = np.empty(len(image.pixels), dtype=np.float32)
        image.pixels.foreach_get(pixels)
        return pixels

    def centre_x(self, plane: Any) -> float:
        """Return the x of the fake engine's disc in the live image, px."""
        red = self.shown(plane).reshape(64, 64, 4)[:, :, 0]
        return float((np.nonzero(red > 0.9)[1] + 0.5).mean())


class ScrubbingTest(ScrubbingCase):
    """Previews with the fake engine."""

    def test_a_frame_that_is_not_baked_is_solved_when_the_playhead_rests(self) -> None:
        plane = self.animated()
        before = plane.draggan.latent, plane.draggan.pairs[0].handle.location.copy()
        self.move(plane, 12, rests=False)
        self.assertEqual(len(self.shown(plane)), 0)
        self.move(plane, 12)
        self.assertTrue(plane.draggan.previewing)
        last = self.centre_x(plane)
        self.move(plane, 6)
        # The disc follows the handle: 32 px per unit.
        self.assertAlmostEqual(last - self.centre_x(plane), 32 * 0.6 * 6 / 11, delta=1.0)
        # A known image is shown at once, and the plane has not changed.
        seen = self.shown(plane)
        self.move(plane, 12)
        self.move(plane, 6, rests=False)
        np.testing.assert_array_equal(self.shown(plane), seen)
        self.assertEqual((plane.draggan.latent, plane.draggan.pairs[0].handle.location), before)
        self.assertEqual((plane.draggan.request_id, plane.draggan.status), (0, ""))
        self.assertEqual(list(self.folder.rglob("bake-*")), [])
        plane.draggan.bake.follow = False
        self.move(plane, 3)
        self.assertEqual(len(self.shown(plane)), 0)

    def test_baked_frames_show_the_bake_and_changed_ones_are_solved(self) -> None:
        plane = self.animated()
        self.bake(plane)
        self.move(plane, 7)
        self.assertEqual(len(self.shown(plane)), 0)
        self.key_target(plane.draggan.pairs[0], {12: 0.1})
        self.move(plane, 1)
        self.assertEqual(len(self.shown(plane)), 0)
        self.move(plane, 9)
        self.assertGreater(len(self.shown(plane)), 0)
        # A bake ends the preview.
        self.bake(plane)
        self.assertFalse(plane.draggan.previewing)
        self.move(plane, 9)
        self.assertEqual(len(self.shown(plane)), 0)

    def test_a_frame_that_differs_by_the_turn_of_a_region_is_solved(self) -> None:
        plane = self.animated()
        pair, memories = plane.draggan.pairs[0], ours("timeline.known_frames").memories
        pair.radius = 0.25
        self.key_target(pair, {1: -0.2, 12: -0.2})
        self.bake(plane)
        self.move(plane, 6)
        self.assertEqual(len(self.shown(plane)), 0)
        self.key_turn(pair, {1: 0.0, 12: 1.1})
        self.move(plane, 1)
        self.assertEqual(len(self.shown(plane)), 0)
        for frame, angle in ((6, 0.5), (11, 1.0)):
            self.move(plane, frame)
            self.assertGreater(len(self.shown(plane)), 0)
            # The second preview starts from the first, and its turn still counts from the base.
            known = memories[plane.draggan.uuid].solved[-1]
            turns = ours("timeline.region_points").turns_of(known.handles_px, (8.0,))
            np.testing.assert_allclose(turns, [(angle, 1.0)], atol=1e-3)
        self.assertEqual(len(memories[plane.draggan.uuid].solved), 2)

    def test_a_preview_is_not_saved_not_undone_and_not_rendered(self) -> None:
        plane = self.animated()
        self.move(plane, 8)
        self.assertTrue(plane.draggan.previewing)
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "shot.blend"), copy=True)
        self.assertFalse(plane.draggan.previewing)
        self.assertEqual(ours("scene.planes").texture_node(plane).image, plane.draggan.still)
        self.move(plane, 8)
        bpy.ops.ed.undo_push(message="Select")
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(ours("scene.planes").texture_node(plane).image, plane.draggan.still)
        self.assertFalse([image for image in bpy.data.images if image.name.startswith(".")])
        self.move(plane, 8)
        for handler in bpy.app.handlers.render_init:
            handler(bpy.context.scene)
        self.assertEqual(len(self.shown(plane)), 0)

    def test_a_frame_change_cancels_the_request_for_the_frame_before(self) -> None:
        plane = self.animated("--step-s", "0.3")
        pump, scrubbing = ours("connection.pump"), ours("timeline.scrubbing")
        self.move(plane, 12, rests=False)
        scrubbing.playhead_rests()
        self.assertTrue(pump.run_until(lambda now: now.active is not None, TIMEOUT_S))
        self.move(plane, 4, rests=False)
        self.assertTrue(pump.state().ending_asked or pump.state().active is None)
        self.assertTrue(pump.run_until(lambda now: now.active is None, TIMEOUT_S))
        self.assertEqual(len(self.shown(plane)), 0)
        # A bake does not wait for the preview.
        self.move(plane, 12, rests=False)
        scrubbing.playhead_rests()
        self.bake(plane)
        self.assertEqual(plane.draggan.sequence.kind, "BAKE")

    def test_sampling_a_bake_requests_no_preview(self) -> None:
        plane = self.animated()
        scrubbing = ours("timeline.scrubbing")
        answers = []
        scrubbing.is_unwatched, kept = lambda: answers.append(kept()), scrubbing.is_unwatched
        try:
            self.edit_of(plane)
        finally:
            scrubbing.is_unwatched = kept
        self.assertTrue(answers and all(answers))


class FollowingTest(ScrubbingCase):
    """Previews follow changes at the frame that is shown, with the fake engine."""

    def setUp(self) -> None:
        """Have the handlers work as in a window."""
        super().setUp()
        patch = mock.patch.object(
            ours("timeline.scrubbing"), "is_unwatched", lambda: self.unwatched
        )
        self.unwatched = False
        patch.start()
        self.addCleanup(patch.stop)

    def tearDown(self) -> None:
        """Stop the timers, which run in a window only."""
        for name in ("scrubbing", "following"):
            timer = ours(f"timeline.{name}")._on_timer
            if bpy.app.timers.is_registered(timer):
                bpy.app.timers.unregister(timer)
        super().tearDown()

    def rest(self) -> bool:
        """Do what the timer does, until the engine has answered; return whether it was asked."""
        following, pump = ours("timeline.following"), ours("connection.pump")
        before = ours("timeline.scrubbing")._generation
        bpy.context.view_layer.update()
        following.edit_rests()
        self.assertTrue(pump.run_until(lambda now: now.active is None, TIMEOUT_S))
        return bool(ours("timeline.scrubbing")._generation > before)

    def test_the_preview_follows_a_target_of_a_region_that_is_turned(self) -> None:
        plane = self.animated()
        pair = plane.draggan.pairs[0]
        pair.radius = 0.25
        self.bake(plane)
        self.move(plane, 7)
        self.rest()
        self.assertFalse(plane.draggan.previewing)
        pair.target.rotation_euler.z = 0.3
        self.assertTrue(self.rest())
        self.assertTrue(plane.draggan.previewing)

    def test_the_preview_follows_a_new_key_at_the_frame_that_is_shown(self) -> None:
        plane = self.animated()
        self.bake(plane)
        self.move(plane, 7)
        self.rest()
        self.assertEqual(len(self.shown(plane)), 0)
        target = plane.draggan.pairs[0].target
        before = target.location.x
        for x in (before + 0.25, before - 0.25):
            target.location.x = x
            target.keyframe_insert("location", index=0, frame=7)
            self.assertTrue(self.rest())
            self.assertTrue(plane.draggan.previewing)
            # The disc follows the handle: 32 px per unit.
            now, rest = self.centre_x(plane), 32 * (1 + before)
            self.assertAlmostEqual(now - rest, 32 * (x - before), delta=1.0)
        # The preview itself is no reason to solve again, and neither is another object.
        self.assertFalse(self.rest())
        bpy.ops.object.camera_add()
        plane.draggan.bake.smoothing += 0.1
        self.assertFalse(self.rest())
        # Back at the baked place, the bake is shown.
        target.location.x = before
        target.keyframe_insert("location", index=0, frame=7)
        self.assertTrue(self.rest())
        self.assertEqual((len(self.shown(plane)), plane.draggan.previewing), (0, False))

    def test_the_preview_is_back_after_an_undo(self) -> None:
        plane = self.animated()
        self.move(plane, 7)
        seen = self.shown(plane)
        self.assertGreater(len(seen), 0)
        bpy.ops.ed.undo_push(message="Frame")
        bpy.ops.ed.undo_push(message="Select")
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual((plane.draggan.previewing, bpy.context.scene.frame_current), (False, 7))
        self.assertTrue(self.rest())
        self.assertTrue(plane.draggan.previewing)
        np.testing.assert_array_equal(self.shown(plane), seen)
        self.assertFalse(self.rest())

    def test_the_preview_follows_the_influence(self) -> None:
        plane = self.animated()
        self.move(plane, 12)
        full = self.centre_x(plane)
        plane.draggan.pairs[0].influence = 0.5
        plane.update_tag()  # as a slider does
        self.assertTrue(self.rest())
        self.assertLess(self.centre_x(plane), full - 2.0)
        self.assertFalse(self.rest())

    def test_nothing_follows_while_it_plays_or_a_drag_is_running(self) -> None:
        plane = self.animated("--step-s", "0.1")
        self.move(plane, 7)
        target = plane.draggan.pairs[0].target
        self.unwatched = True
        target.location.x += 0.1
        self.assertFalse(self.rest())
        self.unwatched = False
        ours("jobs.drag").start_drag(bpy.context, plane)
        target.location.x += 0.1
        bpy.context.view_layer.update()
        before = ours("timeline.scrubbing")._generation
        ours("timeline.following").edit_rests()
        self.assertEqual(ours("timeline.scrubbing")._generation, before)
        ours("jobs.recovery").cancel(plane)

    def test_an_edit_without_keys_has_no_preview(self) -> None:
        self.use_fake_engine()
        plane = self.new_plane()
        pair = self.add_pair(plane)
        pair.target.location.x += 0.1
        self.assertFalse(self.rest())
        self.assertFalse(plane.draggan.previewing)


class RealScrubbingTest(ScrubbingCase):
    """Previews with the real engine."""

    def render_latent(self, plane: Any, latent: bytes, path: Path) -> None:
        """Render the image of a latent into a file."""
        pump = ours("connection.pump")
        request = ours("protocol.messages").RenderLatent(
            request_id=pump.new_request_id(),
            model_path=ours("scene.models").model_path(plane.draggan.source),
            latent=latent,
            image_path=str(path),
        )
        job = pump.Job(request=request, image_id="", label="Render")
        ours("jobs.requests").give_to(request.request_id, lambda message: None)
        pump.submit(job)
        self.assertTrue(pump.wait_for_job(job, TIMEOUT_S))

    def test_the_playhead_s_frame_is_solved_by_a_bake_of_one_frame(self) -> None:
        plane = self.new_plane()
        pair = ours("scene.points").add_pair(plane, (0.32, 0.56), (0.32, 0.56))
        x = pair.target.location.x
        self.key_target(pair, {1: x, 12: x + 0.1})
        still = np.empty(len(plane.draggan.still.pixels), dtype=np.float32)
        plane.draggan.still.pixels.foreach_get(still)
        self.move(plane, 12)
        (known,) = ours("timeline.known_frames").memories[plane.draggan.uuid].solved
        unit_px = plane.draggan.size[0] / 2
        wanted_px = known.targets_px[0, 0]
        self.assertAlmostEqual(wanted_px, (x + 0.1 + 1) * unit_px, delta=0.01)
        self.assertLess(np.abs(known.handles_px - known.targets_px).max(), 1.5)
        self.assertGreater(np.abs(self.shown(plane) - still).max(), 0.1)
        # The shown image belongs to the latent that is kept, and not to an earlier step.
        path = self.folder / "known.png"
        self.render_latent(plane, known.latent, path)
        pixels = self.shown(plane).reshape(*plane.draggan.size, 4)[:, :, :3]
        self.assertLessEqual(np.abs(pixels * 255 - rendering.read(path)).max(), 1.0)
        self.move(plane, 7)
        self.assertEqual(len(ours("timeline.known_frames").memories[plane.draggan.uuid].solved), 2)
