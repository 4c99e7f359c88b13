# SPDX-License-Identifier: GPL-3.0-or-later
"""Image keys and blends: sequences that are made without solving."""

from __future__ import annotations

import base64
from typing import Any

import bpy
import numpy as np
import rendering
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours

WEIGHT = "draggan.timeline.blend_sources[{}].weight"


def latent_of(plane: Any) -> NDArray[Any]:
    """Return a plane's latent, ``num_ws x w_dim``."""
    raw = np.frombuffer(base64.b64decode(plane.draggan.latent), dtype="<f4")
    return raw.reshape(-1, plane.draggan.w_dim)


def rows_of(plane: Any) -> NDArray[Any]:
    """Return all latents of a plane's sequence, ``T x num_ws x w_dim``."""
    rows = ours("scene.shown").rows(plane, range(plane.draggan.sequence.frame_count))
    latents = np.frombuffer(b"".join(rows), dtype="<f4")
    return latents.reshape(len(rows), -1, plane.draggan.w_dim)


class LatentsCase(SceneCase):
    def image(self, seed: int) -> Any:
        """Make a GAN image, and make it the active object."""
        plane = self.new_plane(seed)
        bpy.context.view_layer.objects.active = plane
        return plane

    def sample(self, plane: Any, seed: int) -> NDArray[Any]:
        """Show another seed on the same plane, and return its latent."""
        edit = ours("jobs.image")
        plane.draggan.source.seed = seed
        ours("jobs.requests").wait(edit.resample(plane), TIMEOUT_S)
        return latent_of(plane)

    def key(self, plane: Any, frame: int) -> Any:
        bpy.context.scene.frame_set(frame)
        return ours("timeline.latent_keys").add_key(plane)

    def refused(self, text: str) -> Any:
        return self.assertRaisesRegex(ours("errors").EditError, text)

    def check_files(self, plane: Any, first: int, count: int) -> None:
        """Check that the sequence has one file per frame and one for the frames before."""
        folder = ours("scene.images").sequence_folder(plane)
        numbers = sorted(int(path.stem[-4:]) for path in folder.glob("*.png"))
        self.assertEqual(numbers, list(range(first - 1, first + count)))
        sequence = plane.draggan.sequence
        self.assertEqual((sequence.first_frame, sequence.frame_count), (first, count))
        self.assertEqual(ours("scene.planes").texture_node(plane).image, sequence.image)


class KeysTest(LatentsCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine("--steps", "6", "--step-s", "0")

    def keyed(self) -> tuple[Any, list[NDArray[Any]]]:
        """Make a plane with keys at frames 20, 3 and 11, added in this order.

        Returns:
            The plane, and the latents of the keys in the order of their frames.
        """
        plane, made = self.image(1), {}
        for frame, seed in ((20, 1), (3, 5), (11, 9)):
            made[frame] = self.sample(plane, seed)
            self.key(plane, frame)
        return plane, [made[frame] for frame in sorted(made)]

    def test_the_operators_do_everything_from_start_to_end(self) -> None:
        plane, scene = self.image(1), bpy.context.scene
        self.assertFalse(bpy.ops.draggan.render_keys.poll())
        scene.frame_set(4)
        first = latent_of(plane)
        self.assertEqual(bpy.ops.draggan.key_latent(), {"FINISHED"})
        second = self.sample(plane, 7)
        scene.frame_set(12)
        self.assertEqual(bpy.ops.draggan.key_latent(), {"FINISHED"})
        plane.draggan.timeline.interpolation = "LINEAR"
        self.assertEqual(bpy.ops.draggan.render_keys(), {"FINISHED"})
        self.check_files(plane, 4, 9)
        parts = np.linspace(0, 1, 9)[:, None, None]
        np.testing.assert_allclose(rows_of(plane), first + parts * (second - first), atol=1e-5)
        # A drag or a key at a frame would start from the latent that is shown there.
        scene.frame_set(8)
        shown = np.frombuffer(ours("scene.shown").latent(plane), dtype="<f4").reshape(first.shape)
        np.testing.assert_allclose(shown, (first + second) / 2, atol=1e-5)
        # The files show these latents: the ends are the two stills.
        folder = ours("scene.images").sequence_folder(plane)
        still = plane.draggan.still
        levels = np.empty(still.size[0] * still.size[1] * 4, dtype=np.float32)
        still.pixels.foreach_get(levels)
        last = rendering.read(folder / f"{plane.draggan.sequence.stem}_0012.png")
        np.testing.assert_array_equal(
            np.rint(levels.reshape(*last.shape[:2], 4)[:, :, :3] * 255), last
        )
        # A bake or Reset still starts from the image of the seed.
        np.testing.assert_array_equal(latent_of(plane), second)
        self.assertEqual(bpy.ops.draggan.reset(), {"FINISHED"})
        self.assertEqual(len(plane.draggan.timeline.latent_keys), 2)

    def test_each_kind_of_interpolation_passes_through_every_key(self) -> None:
        plane, keys = self.keyed()
        made = {}
        for kind in ("LINEAR", "SPHERICAL", "CUBIC"):
            plane.draggan.timeline.interpolation = kind
            ours("jobs.requests").wait(ours("timeline.latent_keys").render_keys(plane), TIMEOUT_S)
            self.check_files(plane, 3, 18)
            made[kind] = rows_of(plane)
            for row, key in zip((0, 8, 17), keys, strict=True):
                np.testing.assert_array_equal(made[kind][row], key)
        expected = ours("timeline.interpolation").between(
            [3, 11, 20], np.stack(keys), [7], "SPHERICAL"
        )
        np.testing.assert_array_equal(made["SPHERICAL"][4], expected[0])
        self.assertGreater(np.abs(made["SPHERICAL"] - made["LINEAR"]).max(), 0.05)
        self.assertGreater(np.abs(made["CUBIC"] - made["LINEAR"]).max(), 0.05)

    def test_one_key_is_one_image(self) -> None:
        plane = self.image(1)
        bpy.context.scene.frame_set(-4)
        ours("timeline.latent_keys").add_key(plane)
        ours("jobs.requests").wait(ours("timeline.latent_keys").render_keys(plane), TIMEOUT_S)
        self.check_files(plane, 1, 1)
        np.testing.assert_array_equal(rows_of(plane), latent_of(plane)[None])

    def test_a_key_can_be_replaced_moved_and_removed(self) -> None:
        plane, keys = self.keyed()
        listed, module = plane.draggan.timeline.latent_keys, ours("timeline.latent_keys")
        self.assertEqual([key.frame for key in listed], [20, 3, 11])
        self.sample(plane, 30)
        self.key(plane, 3)
        self.assertEqual([key.frame for key in listed], [20, 3, 11])
        self.assertEqual(plane.draggan.timeline.active_latent_key, 1)
        self.assertEqual(listed[1].latent, plane.draggan.latent)
        listed[1].frame = 15
        module.remove_key(plane, 0)
        self.assertEqual([key.frame for key in listed], [15, 11])
        ours("jobs.requests").wait(module.render_keys(plane), TIMEOUT_S)
        self.check_files(plane, 11, 5)
        np.testing.assert_array_equal(rows_of(plane)[0], keys[1])
        listed[1].frame = 15
        with self.refused("Two image keys are at frame 15"):
            module.render_keys(plane)

    def test_an_image_in_the_middle_of_a_drag_can_be_keyed(self) -> None:
        plane = self.image(1)
        bpy.context.scene.frame_set(1)
        self.add_pair(plane)
        self.drag(plane, 1000)
        expected = rows_of(plane)[3]
        key = self.key(plane, 4)
        found = np.frombuffer(base64.b64decode(key.latent), dtype="<f4").reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)
        self.assertNotEqual(key.latent, plane.draggan.latent)
        # The handles' paths belong to the drag and are removed with its sequence.
        ours("jobs.requests").wait(ours("timeline.latent_keys").render_keys(plane), TIMEOUT_S)
        self.assertIsNone(plane.draggan.pairs[0].handle.animation_data)

    def test_keys_are_kept_in_the_file(self) -> None:
        plane, keys = self.keyed()
        blend = self.folder / "shot.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(blend))
        bpy.ops.wm.open_mainfile(filepath=str(blend))
        plane = self.find_plane()
        ours("jobs.requests").wait(ours("timeline.latent_keys").render_keys(plane), TIMEOUT_S)
        np.testing.assert_array_equal(rows_of(plane)[[0, 8, 17]], np.stack(keys))

    def test_one_undo_removes_the_sequence_and_keeps_the_keys(self) -> None:
        plane, _ = self.keyed()
        bpy.ops.ed.undo_push(message="Keys")
        ours("jobs.requests").wait(ours("timeline.latent_keys").render_keys(plane), TIMEOUT_S)
        self.assertIn("18 frames", plane.draggan.status)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertIsNone(plane.draggan.sequence.image)
        self.assertEqual(plane.draggan.track, "")
        self.assertEqual(len(plane.draggan.timeline.latent_keys), 3)

    def test_a_failure_leaves_everything_as_it_was(self) -> None:
        plane, _ = self.keyed()
        self.use_fake_engine("--fault", "fail")
        folder = ours("jobs.folders").new_drag(plane).parent
        before = sorted(folder.iterdir())
        with self.refused("asked to fail"):
            ours("jobs.requests").wait(ours("timeline.latent_keys").render_keys(plane), TIMEOUT_S)
        self.assertEqual(sorted(folder.iterdir()), before)
        self.assertEqual(ours("scene.planes").texture_node(plane).image, plane.draggan.still)
        self.assertEqual(plane.draggan.request_id, 0)

    def test_a_key_of_another_model_is_refused(self) -> None:
        plane, _ = self.keyed()
        plane.draggan.source.kind, plane.draggan.source.path = "FILE", str(self.folder / "b.pkl")
        self.sample(plane, 2)
        with self.refused("key at frame 3 belongs to another model"):
            ours("timeline.latent_keys").render_keys(plane)


class BlendTest(LatentsCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine("--steps", "6", "--step-s", "0")

    def mixed(self) -> tuple[Any, Any, Any]:
        """Make a plane that blends a still image and one that is dragged in frames 4 to 10.

        Returns:
            The plane, the still image and the dragged one.
        """
        still, moving, plane = self.image(2), self.image(3), self.image(4)
        bpy.context.scene.frame_set(4)
        pair = self.add_pair(moving)
        pair.target.location.x = 0.8
        bpy.context.view_layer.update()
        self.drag(moving, 1000)
        for source in (still, moving):
            ours("timeline.blending").add_source(plane, source)
        return plane, still, moving

    def blend(self, plane: Any, frames: range) -> NDArray[Any]:
        ours("jobs.requests").wait(ours("timeline.blending").blend(plane, frames), TIMEOUT_S)
        self.check_files(plane, frames.start, len(frames))
        return rows_of(plane)

    def weigh(self, plane: Any, index: int, frames: Any, values: Any) -> None:
        ours("compat").write_fcurve(plane, WEIGHT.format(index), 0, frames, values)

    def test_the_operators_do_everything_from_start_to_end(self) -> None:
        plane, still, moving = self.mixed()
        ours("timeline.blending").remove_source(plane, 0)
        ours("timeline.blending").remove_source(plane, 0)
        for chosen in (still, moving, plane):
            chosen.select_set(True)
        bpy.context.view_layer.objects.active = plane
        self.assertFalse(bpy.ops.draggan.blend.poll())
        self.assertEqual(bpy.ops.draggan.add_blend_source(), {"FINISHED"})
        sources = plane.draggan.timeline.blend_sources
        self.assertEqual({source.image for source in sources}, {still, moving})
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 1, 90
        scene.use_preview_range = True
        scene.frame_preview_start, scene.frame_preview_end = 2, 5
        self.assertEqual(bpy.ops.draggan.blend(), {"FINISHED"})
        self.check_files(plane, 2, 4)

    def test_each_frame_blends_what_the_sources_show_by_their_weights(self) -> None:
        plane, still, moving = self.mixed()
        self.weigh(plane, 0, (2, 12), (3.0, 0.0))
        plane.draggan.timeline.blend_sources[1].weight = 1.0
        scene = bpy.context.scene
        scene.frame_set(7, subframe=0.5)
        found = self.blend(plane, range(2, 13))
        self.assertEqual((scene.frame_current, scene.frame_subframe), (7, 0.5))
        path = rows_of(moving)
        for index, frame in enumerate(range(2, 13)):
            weight = np.interp(frame, (2, 12), (3.0, 0.0))
            row = path[min(max(frame - 4, 0), 6)].astype(np.float64)
            expected = (weight * latent_of(still) + row) / (weight + 1.0)
            np.testing.assert_allclose(found[index], expected, atol=1e-5)
        # Where only one source has a weight, the latent is equal to the bit.
        np.testing.assert_array_equal(found[-1], path[6])

    def test_a_retimed_source_contributes_the_image_that_it_shows(self) -> None:
        plane, _, moving = self.mixed()
        ours("timeline.retiming").retime(moving)
        curve = ours("compat").find_fcurve(moving, '["draggan_progress"]', 0)
        for key, value in zip(curve.keyframe_points, (1.0, 0.0), strict=True):
            key.co.y = value
        curve.update()
        plane.draggan.timeline.blend_sources[0].weight = 0.0
        np.testing.assert_array_equal(self.blend(plane, range(4, 11)), rows_of(moving)[::-1])

    def test_a_blend_that_is_faded_out_stays_as_it_was(self) -> None:
        plane, still, _ = self.mixed()
        self.weigh(plane, 0, (1, 4, 5, 8), (1.0, 1.0, 0.0, 0.0))
        plane.draggan.timeline.blend_sources[1].weight = 0.0
        found = self.blend(plane, range(1, 8))
        np.testing.assert_array_equal(found, np.repeat(latent_of(still)[None], 7, axis=0))
        plane.draggan.timeline.blend_sources[0].weight = 0.0
        ours("compat").remove_fcurves(plane, WEIGHT.format(0))
        with self.refused("every weight is 0 at every frame"):
            ours("timeline.blending").blend(plane, range(1, 8))

    def test_removing_a_source_removes_only_its_own_animation(self) -> None:
        plane, _, _ = self.mixed()
        ours("timeline.blending").add_source(plane, None)
        for index, value in enumerate((0.1, 0.2, 0.3)):
            self.weigh(plane, index, (1,), (value,))
        ours("timeline.blending").remove_source(plane, 1)
        find = ours("compat").find_fcurve
        curves = [find(plane, WEIGHT.format(index), 0) for index in range(3)]
        self.assertAlmostEqual(curves[0].evaluate(1), 0.1, places=5)
        self.assertAlmostEqual(curves[1].evaluate(1), 0.3, places=5)
        self.assertIsNone(curves[2])

    def test_what_cannot_be_blended_is_refused_with_a_message(self) -> None:
        plane, still, _ = self.mixed()
        blend, sources = ours("timeline.blending").blend, plane.draggan.timeline.blend_sources
        frames = range(1, 4)
        sources[0].image = None
        with self.refused("needs two or more images"):
            blend(plane, frames)
        sources[0].image = plane
        with self.refused("cannot be blended into itself"):
            blend(plane, frames)
        sources[0].image = still
        still.draggan.model_sha256 = "0" * 64
        with self.refused("another model than"):
            blend(plane, frames)
        bpy.data.objects.remove(still)
        with self.refused("needs two or more images"):
            blend(plane, frames)
        with self.refused("range 1-0 is empty"):
            blend(plane, range(-5, 1))


class RealEngineTest(LatentsCase):
    """Image keys and a blend with the real engine and the model's images."""

    def test_keys_and_a_blend_of_them_are_rendered(self) -> None:
        plane = self.image(1)
        stills = {}
        for frame, seed in ((1, 1), (7, 2)):
            self.sample(plane, seed)
            self.key(plane, frame)
            width, height = plane.draggan.size
            levels = np.empty(width * height * 4, dtype=np.float32)
            plane.draggan.still.pixels.foreach_get(levels)
            stills[frame] = np.rint(levels.reshape(height, width, 4)[:, :, :3] * 255)
        edit = ours("jobs.image")
        ours("jobs.requests").wait(ours("timeline.latent_keys").render_keys(plane), TIMEOUT_S)
        self.check_files(plane, 1, 7)
        folder, stem = ours("scene.images").sequence_folder(plane), plane.draggan.sequence.stem
        for frame, expected in stills.items():
            found = rendering.read(folder / f"{stem}_{frame:04d}.png")
            # Images of a batch may be rounded differently from a single image.
            self.assertLessEqual(np.abs(found - expected).max(), 1.0)
        # Restore Images brings lost files back from the track.
        middle = folder / f"{stem}_0004.png"
        content = middle.read_bytes()
        middle.unlink()
        ours("jobs.requests").wait(edit.render_again(plane), TIMEOUT_S)
        self.assertEqual(middle.read_bytes(), content)

        other = self.image(3)
        for source in (plane, self.image(4)):
            ours("timeline.blending").add_source(other, source)
        bpy.context.view_layer.objects.active = other
        ours("jobs.requests").wait(ours("timeline.blending").blend(other, range(1, 8)), TIMEOUT_S)
        self.check_files(other, 1, 7)
        expected = (rows_of(plane) + latent_of(other.draggan.timeline.blend_sources[1].image)) / 2
        np.testing.assert_allclose(rows_of(other), expected, atol=1e-5)
