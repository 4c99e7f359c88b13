# SPDX-License-Identifier: GPL-3.0-or-later
"""Models other than square RGB ones in Blender: labels, alpha, grey, and other aspects."""

from __future__ import annotations

from typing import Any
from unittest import mock

import bpy
import numpy as np
import support
from support import TIMEOUT_S, SceneCase, ours

GOLDEN = support.CHECKOUT / "tests" / "data" / "golden"
RGBA = support.CHECKOUT / "tests" / "data" / "models" / "rgba_r32.safetensors"

SIX = RGBA.with_name("channels6_r32.safetensors")


class ModelKindsTest(SceneCase):
    def image_of(self, path: Any, **settings: Any) -> Any:
        """Make a GAN image of a model's file; without a window the operator waits for it."""
        made = bpy.ops.draggan.new_image(model=str(path), seed=3, location=(0, 0, 0), **settings)
        self.assertEqual(made, {"FINISHED"})
        return self.find_plane()

    def pixels(self, plane: Any) -> Any:
        """Return the still image, ``H x W x 4``."""
        still = plane.draggan.still
        return np.array(still.pixels[:]).reshape(still.size[1], still.size[0], 4)

    def test_a_label_is_chosen_and_stored(self) -> None:
        plane = self.image_of(GOLDEN / "ada_cond_r32.pkl", label=2)
        settings = plane.draggan
        self.assertEqual((settings.label_count, settings.sampled_label), (5, 2))
        self.assertEqual(settings.source.label, 2)
        of_two = settings.latent
        settings.source.label = 4
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(settings.sampled_label, 4)
        self.assertNotEqual(settings.latent, of_two)
        history = ours("scene.history")
        first, second = settings.history.states
        self.assertEqual(history.label(first), "Seed 3, label 2 (0.70)")
        self.assertEqual(history.label(second), "Seed 3, label 4 (0.70)")
        history.restore(plane, first)
        self.assertEqual((settings.source.label, settings.latent), (2, of_two))
        path = str(self.folder / "labels.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        settings = self.find_plane().draggan
        self.assertEqual((settings.source.label, settings.sampled_label), (2, 2))

    def test_a_label_that_the_model_lacks_is_refused(self) -> None:
        plane = self.image_of(GOLDEN / "ada_cond_r32.pkl", label=0)
        plane.draggan.source.label = 9
        with self.assertRaisesRegex(Exception, "from 0 to 4, or -1 for none, not 9"):
            ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(plane.draggan.sampled_label, 0)

    def test_a_model_without_labels_ignores_the_label(self) -> None:
        plane = self.image_of(support.model, label=3)
        self.assertEqual((plane.draggan.label_count, plane.draggan.sampled_label), (0, -1))

    def test_alpha_is_shown_and_rendered(self) -> None:
        plane = self.image_of(RGBA)
        alpha = self.pixels(plane)[..., 3]
        self.assertGreater(float(alpha.std()), 0.02)
        material = plane.active_material
        mix = next(node for node in material.node_tree.nodes if node.type == "MIX_SHADER")
        self.assertTrue(mix.inputs[0].links[0].from_socket.name, "Alpha")
        self.assertEqual(material.surface_render_method, "BLENDED")
        # A second image of the model leaves the nodes as they are.
        count = len(material.node_tree.nodes)
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(len(material.node_tree.nodes), count)

    def test_alpha_reaches_the_frames_of_a_drag(self) -> None:
        plane = self.image_of(RGBA)
        self.add_pair(plane)
        self.drag(plane, max_steps=2)
        self.assertEqual(plane.draggan.sequence.image.depth, 32)

    def shown_channels(self, plane: Any) -> dict[str, Any]:
        """Return the images of the nodes of further channels, by the nodes' names."""
        nodes = ours("scene.planes").texture_node(plane).id_data.nodes
        return {one.name: one.image for one in nodes if one.name.startswith("GAN Image Channel")}

    def test_further_channels_are_nodes_of_the_material(self) -> None:
        plane = self.image_of(SIX)
        channels = self.shown_channels(plane)
        self.assertEqual(sorted(channels), ["GAN Image Channel 5", "GAN Image Channel 6"])
        still = channels["GAN Image Channel 5"]
        self.assertTrue(still.packed_file is not None)
        self.assertEqual(still.colorspace_settings.name, "Non-Color")
        self.assertGreater(np.std(np.array(still.pixels[:])[::4]), 0.1)
        self.add_pair(plane)
        self.drag(plane, max_steps=2)
        sequence = plane.draggan.sequence
        channels = self.shown_channels(plane)
        main = ours("scene.planes").texture_node(plane)
        for name, image in channels.items():
            self.assertEqual(image.source, "SEQUENCE", name)
            user = main.id_data.nodes[name].image_user
            for field in ("frame_start", "frame_duration", "frame_offset"):
                self.assertEqual(getattr(user, field), getattr(main.image_user, field))
        # What is missing is noticed, and made again.
        folder = ours("scene.images").sequence_folder(plane)
        lost = folder / f"{sequence.stem}-channel6_0002.png"
        content = lost.read_bytes()
        lost.unlink()
        found = ours("jobs.missing_images")
        bpy.context.view_layer.objects.active = plane
        found.look()
        self.assertEqual(found.count(plane), 1)
        ours("jobs.requests").wait(ours("jobs.image").render_again(plane), TIMEOUT_S)
        self.assertEqual(lost.read_bytes(), content)
        # A portable copy has all of them.
        copied = ours("export.portable_copy").bake_down(self.folder / "copy.blend")
        names = {path.name for path in copied.rglob("*.png")}
        self.assertEqual(len(names), 3 * (sequence.frame_count + 1))
        self.check_export(plane)
        # Back to the still, in a file that was saved and opened again.
        ours("jobs.drag").reset(plane)
        self.assertEqual(self.shown_channels(plane)["GAN Image Channel 5"], still)
        path = str(self.folder / "six.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        plane = self.find_plane()
        history = ours("scene.history")
        history.restore(plane, plane.draggan.history.states[-1])
        self.assertEqual(
            {image.source for image in self.shown_channels(plane).values()}, {"SEQUENCE"}
        )
        # A model without further channels empties the nodes.
        plane.draggan.source.path = str(RGBA)
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(set(self.shown_channels(plane).values()), {None})

    def check_export(self, plane: Any) -> None:
        """Export as PNG and OpenEXR: the channels are beside the colours, as numbers."""
        sequence, out = plane.draggan.sequence, self.folder / "out"
        count = sequence.frame_count
        for kind, suffix in (("PNG", "png"), ("OPEN_EXR", "exr")):
            bpy.ops.draggan.export_frames(directory=str(out), file_format=kind)
            self.assertEqual(len(list(out.glob(f"*.{suffix}"))), 3 * count, kind)
        name = f"{sequence.stem}-channel5_{sequence.first_frame:04d}"
        numbers = self.loaded(out / f"{name}.exr")
        bytes_ = self.loaded(out / f"{name}.png", "Non-Color")
        np.testing.assert_allclose(numbers[..., 0], bytes_[..., 0], atol=1e-3)
        colours = self.loaded(out / f"{sequence.stem}_{sequence.first_frame:04d}.exr")
        self.assertGreater(float(colours[..., 3].std()), 0.01)

    def loaded(self, path: Any, space: str = "") -> Any:
        """Return the values of a file, ``... x 4``, as they are in a colour space."""
        image: Any = bpy.data.images.load(str(path))
        if space:
            image.colorspace_settings.name = space
        return np.array(image.pixels[:]).reshape(-1, 4)

    def test_an_export_goes_through_the_timeline_once_for_all_channels(self) -> None:
        plane, scene = self.image_of(SIX), bpy.context.scene
        self.add_pair(plane)
        self.drag(plane, 2)
        scene.frame_start, scene.frame_end = 1, 6
        ours("timeline.retiming").retime(plane)
        playhead = ours("scene.playhead")
        with mock.patch.object(playhead, "visit", wraps=playhead.visit) as visit:
            files = list(ours("export.files").frames(plane, self.folder / "out", "PNG"))
        self.assertEqual(len(files), 3 * 6)
        visit.assert_called_once()

    def test_a_farm_s_placeholders_have_the_further_channels(self) -> None:
        plane = self.image_of(SIX)
        pair = self.add_pair(plane)
        for frame, x in ((1, 0.0), (3, 0.2)):
            pair.target.location.x = x
            pair.target.keyframe_insert("location", frame=frame)
        base = self.folder / "shared"
        base.mkdir()
        bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 3
        ours("export.farm").prepare(bpy.context.scene, base)
        files = {path.name for path in base.rglob("*.png")}
        self.assertEqual(len([name for name in files if "-channel5_" in name]), 4)
        self.assertEqual(len(files), 3 * 4)
        kinds = {image.source for image in self.shown_channels(plane).values()}
        self.assertEqual(kinds, {"SEQUENCE"})

    def test_images_without_alpha_keep_the_plain_material(self) -> None:
        plane = self.image_of(GOLDEN / "ada_grey_r32.pkl")
        kinds = {node.type for node in plane.active_material.node_tree.nodes}
        self.assertEqual(kinds, {"TEX_IMAGE", "EMISSION", "OUTPUT_MATERIAL"})
        pixels = self.pixels(plane)
        np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])

    def test_a_portrait_has_its_aspect_points_and_mask(self) -> None:
        plane = self.image_of(GOLDEN / "human_r64.pkl")
        self.assertEqual(tuple(plane.draggan.size), (32, 64))
        self.assertAlmostEqual(plane.dimensions.y / plane.dimensions.x, 2.0, places=5)
        pair = self.add_pair(plane)
        local = [pair.handle.location[:2]]
        (place,) = ours("scene.placing").to_px(plane, local)
        np.testing.assert_allclose(place, (0.4 * 32, 0.5 * 64), atol=1e-3)
        for other in bpy.context.selected_objects:
            other.select_set(False)
        plane.select_set(True)
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(bpy.ops.draggan.mask_fill(), {"FINISHED"})
        self.assertEqual(tuple(plane.draggan.mask.size), (32, 64))
        self.drag(plane, max_steps=2)
        self.assertEqual(tuple(plane.draggan.sequence.image.size), (32, 64))

    def test_a_note_about_the_file_is_shown(self) -> None:
        plane = self.image_of(GOLDEN / "ros_train_r32.pt")
        self.assertIn("no average latent", plane.draggan.status)
        self.assertFalse(plane.draggan.failed)
